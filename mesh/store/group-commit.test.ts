import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { GroupCommit, type Executor } from "./group-commit.ts";
import { StoreFailure, type Row } from "./store.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** As many turns as a flush waits for company when none comes, and one more. */
const nextTurn = async (): Promise<void> => {
  for (let n = 0; n <= limits.store.gatherStillTurnsMax + 1; n++) await turn();
};
const row = (name: string): Row => ["meta.set", name, ""];

/** A writer that answers when it is told to. */
function slowWriter(laterMs?: number, clock?: Pick<Clock, "monotonicMs">) {
  const runs: { readonly names: readonly unknown[]; readonly upTo: number }[] = [];
  const closed: number[] = [];
  const executor: Executor = {
    run: (rows, upTo) => void runs.push({ names: rows.map(([, name]) => name), upTo }),
    close: () => {
      closed.push(runs.length);
      group.acknowledge(Number.MAX_SAFE_INTEGER);
      return Promise.resolve();
    },
  };
  const group = new GroupCommit("folder", () => executor, { ...(laterMs && { laterMs }), ...(clock && { clock }) });
  return { group, runs, closed };
}

test("while one flush runs, what comes goes out together, with all of the turn in which it is answered", async () => {
  const { group, runs } = slowWriter();
  const done: string[] = [];
  const commit = (name: string): void => void group.commit([row(name)]).then(() => done.push(name));
  for (const name of ["a", "b", "c"]) {
    commit(name);
    await nextTurn();
  }
  assert.deepEqual(
    runs.map(({ names }) => names),
    [["a"]],
  );
  group.acknowledge(runs[0]?.upTo ?? 0);
  commit("d");
  await nextTurn();
  assert.deepEqual(done, ["a"]);
  assert.deepEqual(runs[1]?.names, ["b", "c", "d"]);
  group.acknowledge(runs[1]?.upTo ?? 0);
  await nextTurn();
  assert.deepEqual(done, ["a", "b", "c", "d"]);
  commit("e");
  await nextTurn();
  assert.deepEqual(runs[2]?.names, ["e"]);
});

test("to close hands over everything that waits, however much is on its way", async () => {
  const { group, runs, closed } = slowWriter();
  const commits: Promise<void>[] = [];
  for (const name of ["a", "b", "c"]) {
    commits.push(group.commit([row(name)]));
    await nextTurn();
  }
  await group.close();
  await Promise.all(commits);
  assert.deepEqual(
    runs.flatMap(({ names }) => names),
    ["a", "b", "c"],
  );
  assert.deepEqual(closed, [2]);
});

test("the seal is asked once a flush, and stands in it last", async () => {
  const { group, runs } = slowWriter();
  let asked = 0;
  group.sealWith(() => [row(`seal ${++asked}`)]);
  void group.commit([row("a")]);
  void group.commit([row("b")]);
  await nextTurn();
  group.acknowledge(runs[0]?.upTo ?? 0);
  void group.commit([row("c")]);
  await nextTurn();
  assert.deepEqual(
    runs.map(({ names }) => names),
    [
      ["a", "b", "seal 1"],
      ["c", "seal 2"],
    ],
  );
});

/** A group whose last flush held `size` commits, and that waits for nothing. */
async function crowd(size: number, clock?: Pick<Clock, "monotonicMs">) {
  const { group, runs } = slowWriter(0, clock);
  const commit = (name: string): void => void group.commit([row(name)]);
  for (let n = 0; n < size; n++) commit("first");
  await nextTurn();
  group.acknowledge(runs.shift()?.upTo ?? 0);
  return { group, runs, commit };
}

test("a flush waits for as many as there were the last time, as long as the loop brings some of them", async () => {
  const { runs, commit } = await crowd(5);
  for (let n = 0; n < 4; n++) {
    commit(String(n));
    // One turn less than those after which nobody else is waited for.
    for (let still = 0; still < limits.store.gatherStillTurnsMax; still++) await turn();
    assert.equal(runs.length, 0, `${n + 1} of 5 are there`);
  }
  commit("last");
  await turn();
  assert.deepEqual(
    runs.map(({ names }) => names),
    [["0", "1", "2", "3", "last"]],
  );
});

test("those who waited while the writer was at work belong to the crowd", async () => {
  const { group, runs, commit } = await crowd(2);
  for (const name of ["a", "b"]) commit(name);
  await turn();
  commit("waits");
  group.acknowledge(runs.shift()?.upTo ?? 0);
  await turn();
  assert.equal(runs.length, 0, "two more are waited for");
  commit("c");
  await turn();
  assert.equal(runs.length, 0, "and one more");
  commit("d");
  await turn();
  assert.deepEqual(runs[0]?.names, ["waits", "c", "d"]);
});

test("half of a large crowd is enough", async () => {
  const { crowdCommitsMin } = limits.store;
  const { runs, commit } = await crowd(crowdCommitsMin - 1);
  for (let n = 0; n < crowdCommitsMin / 2; n++) commit(String(n));
  await turn();
  assert.equal(runs[0]?.names.length, crowdCommitsMin / 2);
});

test("turns that bring nobody are not waited for without end", async () => {
  const { runs, commit } = await crowd(5);
  commit("the only one who came");
  for (let still = 0; still <= limits.store.gatherStillTurnsMax; still++) await turn();
  assert.deepEqual(runs[0]?.names, ["the only one who came"]);
});

test("long turns of the loop are not waited for", async () => {
  let nowMs = 0;
  const { runs, commit } = await crowd(9, { monotonicMs: () => nowMs });
  let made = 0;
  while (runs.length === 0) {
    commit(String(made++));
    nowMs += limits.store.gatherMsMax / 2;
    await turn();
  }
  assert.deepEqual(runs[0]?.names, ["0", "1"], "what they brought by then goes out");
});

test("who was alone the last time, and finds the writer idle, waits for nobody", async () => {
  const { group, runs } = slowWriter();
  const names = (): unknown[] => runs.map((run) => run.names);
  void group.commit([row("first")]);
  void group.commit([row("of the same tick")]);
  await Promise.resolve();
  assert.deepEqual(names(), [["first", "of the same tick"]]);
  group.acknowledge(runs[0]?.upTo ?? 0);
  void group.commit([row("now alone")]);
  await Promise.resolve();
  assert.equal(runs.length, 1, "it may have company, as the last had");
  await nextTurn();
  group.acknowledge(runs[1]?.upTo ?? 0);
  void group.commit([row("alone again")]);
  await Promise.resolve();
  assert.deepEqual(names().slice(1), [["now alone"], ["alone again"]]);
});

test("what nobody waits for goes with the next flush, and by itself when its time is up", async () => {
  const { group, runs } = slowWriter(1);
  group.commitLater([row("later")]);
  void group.commit([row("now")]);
  await nextTurn();
  assert.deepEqual(runs[0]?.names, ["later", "now"]);
  group.commitLater([row("while the writer is at work")]);
  // Its time passes, and the writer is still at work.
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(runs.length, 1);
  group.acknowledge(runs[0]?.upTo ?? 0);
  await nextTurn();
  assert.deepEqual(runs[1]?.names, ["while the writer is at work"]);
  group.acknowledge(runs[1]?.upTo ?? 0);
  group.commitLater([row("alone")]);
  while (runs.length < 3) await turn();
  assert.deepEqual(runs[2]?.names, ["alone"]);
});

test("what nobody waits for is lost with nobody's knowledge in no case: too much of it is a failure", async () => {
  const { group } = slowWriter(1_000_000);
  for (let n = 0; n <= limits.store.commitsWaitingMax; n++) group.commitLater([]);
  assert.match((await group.failed).message, /commits wait for the disk/);
  await assert.rejects(group.commit([row("a")]), /commits wait for the disk/);
});

test("a late row is asked for once a flush, as it is then, and one that does not fit fails the store", async () => {
  const { group, runs } = slowWriter();
  let value = 0;
  const late = { lateRow: (): Row => row(`late ${value}`) };
  for (const name of ["a", "b"]) {
    value++;
    void group.commit([late, row(name)]);
  }
  await nextTurn();
  assert.deepEqual(runs[0]?.names, ["a", "b", "late 2"]);
  group.acknowledge(runs[0]?.upTo ?? 0);
  void group.commit([row("c")]);
  await nextTurn();
  assert.deepEqual(runs[1]?.names, ["c"]);
  group.acknowledge(runs[1]?.upTo ?? 0);
  const refused = assert.rejects(group.commit([{ lateRow: () => ["meta.set", "k", 0.5] }]), /not a safe integer/);
  await nextTurn();
  await refused;
});

test("of a crowd one half goes on while the rows of the other are written", async () => {
  const { group, runs } = slowWriter();
  const CROWD = 2 * limits.store.crowdCommitsMin;
  let ended = 0;
  let commits = 0;
  const lane = async (): Promise<void> => {
    for (;;) {
      commits++;
      await group.commit([row("a")]);
      ended++;
    }
  };
  for (let n = 0; n < CROWD; n++) void lane();
  await nextTurn();
  const sizes = (): number[] => runs.map(({ names }) => names.length);
  assert.deepEqual(sizes(), [CROWD]);
  group.acknowledge(runs[0]?.upTo ?? 0);
  // While the other half waits for its turn, the writer has the rows of the first.
  while (runs.length < 2) await turn();
  assert.deepEqual(sizes(), [CROWD, CROWD / 2]);
  await nextTurn();
  assert.equal(ended, CROWD, "all that was on disk was told, at once or a turn later");
  for (let flush = 1; flush < 6; flush++) {
    const made = commits;
    group.acknowledge(runs[flush]?.upTo ?? 0);
    assert.equal(runs.length, flush + 2, "what waits is on its way before anybody is told");
    assert.equal(commits, made);
    await nextTurn();
    assert.equal(runs[flush + 1]?.names.length, CROWD / 2);
    assert.equal(ended, CROWD + (flush * CROWD) / 2);
  }
});

test("who waits is told in the order of the commits, also half a crowd later, and is told what is on disk when a later flush fails", async () => {
  const { group, runs } = slowWriter();
  const told: number[] = [];
  const CROWD = 3 * limits.store.crowdCommitsMin;
  for (let n = 0; n < CROWD; n++) void group.commit([row("a")]).then(() => told.push(n));
  await nextTurn();
  group.acknowledge(runs[0]?.upTo ?? 0);
  group.fail(new StoreFailure("io", "the disk has gone"));
  await nextTurn();
  assert.deepEqual(
    told,
    Array.from({ length: CROWD }, (_, n) => n),
  );
});

test("few of the first half do not go out alone: they wait for company, as ever", async () => {
  const { group, runs } = slowWriter();
  const CROWD = 2 * limits.store.crowdCommitsMin;
  const again = (n: number): boolean => n === 0 || n >= CROWD / 2;
  for (let n = 0; n < CROWD; n++)
    void group.commit([row("a")]).then(() => (again(n) ? group.commit([row("again")]) : undefined));
  await nextTurn();
  group.acknowledge(runs[0]?.upTo ?? 0);
  while (runs.length < 2) await turn();
  assert.equal(runs[1]?.names.length, 1 + CROWD / 2);
});
