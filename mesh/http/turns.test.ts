import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../lib/clock.ts";
import { Turns } from "./turns.ts";

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A clock that is moved by work. */
function working() {
  let nowMs = 0;
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.reject(new Error("none")) };
  return { turns: new Turns(clock), work: (ms: number) => (nowMs += ms) };
}

test("a turn takes work until its time is over; the rest is done in the turns after it, in order", async () => {
  const { turns, work } = working();
  const done: number[] = [];
  const give = (n: number): void => {
    const act = (): void => {
      work(0.5);
      done.push(n);
    };
    if (turns.open) act();
    else turns.later(act);
  };
  for (let n = 0; n < 7; n++) give(n);
  assert.deepEqual(done, [0, 1], "a millisecond is a turn");
  const seen: number[] = [];
  for (let turn = 0; turn < 6; turn++) {
    await nextTurn();
    seen.push(done.length);
  }
  assert.deepEqual(done, [0, 1, 2, 3, 4, 5, 6]);
  assert.ok(
    seen.every((count, at) => count - (seen[at - 1] ?? 2) <= 2),
    `no turn did more than its share: ${seen.join()}`,
  );
});

test("what comes while others wait stands behind them", async () => {
  const { turns, work } = working();
  const done: string[] = [];
  assert.ok(turns.open);
  work(5);
  assert.ok(!turns.open);
  const newcomer = (): void => void done.push("newcomer");
  turns.later(() => {
    done.push("first");
    // This turn has time, and yet somebody waits.
    if (turns.open) newcomer();
    else turns.later(newcomer);
  });
  turns.later(() => done.push("second"));
  await nextTurn();
  await nextTurn();
  assert.deepEqual(done, ["first", "second", "newcomer"]);
  assert.ok(turns.open);
});

test("what work leaves for a promise is a part of it", async () => {
  const { turns, work } = working();
  let done = 0;
  assert.ok(turns.open);
  work(5);
  for (let n = 0; n < 6; n++)
    turns.later(() =>
      queueMicrotask(() => {
        work(0.5);
        done++;
      }),
    );
  const seen: number[] = [];
  for (let turn = 0; turn < 5; turn++) {
    await nextTurn();
    seen.push(done);
  }
  assert.deepEqual([seen[0], seen.at(-1)], [2, 6], seen.join());
});

test("who asks for a turn of its own shares it with nobody", async () => {
  const { turns } = working();
  const done: number[] = [];
  const all = [0, 1, 2, 3].map((n) => turns.own().then(() => done.push(n)));
  turns.later(() => done.push(4));
  assert.ok(!turns.open);
  for (const n of [0, 1, 2, 3, 4]) {
    assert.deepEqual(done, [0, 1, 2, 3, 4].slice(0, n));
    await (n === 0 ? all[0] : nextTurn());
  }
  assert.deepEqual(done, [0, 1, 2, 3, 4]);
});

test("work that waits keeps the loop awake; a turn that only ends does not", async () => {
  const awake = (): number => process.getActiveResourcesInfo().filter((name) => name === "Immediate").length;
  const { turns, work } = working();
  const before = awake();
  assert.ok(turns.open);
  assert.equal(awake(), before);
  work(5);
  const { promise, resolve } = Promise.withResolvers<void>();
  turns.later(resolve);
  assert.equal(awake(), before + 1);
  await promise;
});

test("work that is more than a turn is paid for, also when it fails; less is not", () => {
  let nowMs = 0;
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.reject(new Error("none")) };
  const spent: number[] = [];
  const turns = new Turns(clock, { spent: (ms) => spent.push(ms), inDebt: true });
  assert.equal(
    turns.timed(() => (nowMs += 1)),
    1,
  );
  assert.deepEqual(spent, []);
  assert.throws(() =>
    turns.timed(() => {
      nowMs += 30;
      throw new Error("no JSON");
    }),
  );
  assert.deepEqual(spent, [30]);
  assert.ok(turns.inDebt && !new Turns(clock).inDebt);
});
