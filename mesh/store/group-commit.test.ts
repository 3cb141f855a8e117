import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupCommit } from "./group-commit.ts";
import type { Write } from "./store.ts";

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const row = (name: string): Write => ["meta.set", name, ""];

/** A writer that answers when it is told to. */
function slowWriter() {
  const runs: { readonly names: readonly unknown[]; readonly upTo: number }[] = [];
  const closed: number[] = [];
  const group = new GroupCommit("folder", () => ({
    run: (writes, upTo) => void runs.push({ names: writes.map(([, name]) => name), upTo }),
    close: () => {
      closed.push(runs.length);
      group.acknowledge(Number.MAX_SAFE_INTEGER);
      return Promise.resolve();
    },
  }));
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
