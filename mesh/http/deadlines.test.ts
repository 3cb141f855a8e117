import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../lib/clock.ts";
import { Deadlines } from "./deadlines.ts";

/** Stands still until it is moved. */
function manualClock() {
  let nowMs = 0;
  const sleepers = new Set<{ readonly atMs: number; readonly resolve: () => void }>();
  return {
    sleepers,
    ...{ nowMs: () => nowMs, monotonicMs: () => nowMs },
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const sleeper = { atMs: nowMs + ms, resolve };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
    async to(ms: number): Promise<void> {
      nowMs = ms;
      for (const each of sleepers)
        if (each.atMs <= nowMs) {
          sleepers.delete(each);
          each.resolve();
        }
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test("each ends at its own time, in one sleep; what was cleared does not", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  const over: string[] = [];
  const named = (name: string) => ({ expire: () => void over.push(name) });
  const [late, early, cleared] = [named("late"), named("early"), named("cleared")];
  deadlines.set(late, 100);
  deadlines.set(early, 20);
  deadlines.set(cleared, 10);
  assert.equal(clock.sleepers.size, 1);
  deadlines.clear(cleared);
  await clock.to(10);
  assert.deepEqual(over, []);
  await clock.to(20);
  assert.deepEqual(over, ["early"]);
  assert.equal(clock.sleepers.size, 1);
  await clock.to(99);
  assert.deepEqual(over, ["early"]);
  await clock.to(100);
  assert.deepEqual(over, ["early", "late"]);
  assert.equal(clock.sleepers.size, 0);
});

test("one that sets another as it ends loses neither", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  const over: string[] = [];
  const third = { expire: () => void over.push("third") };
  const second = { expire: () => void over.push("second") };
  deadlines.set({ expire: () => deadlines.set(second, 5) }, 10);
  deadlines.set(third, 30);
  for (const ms of [10, 15, 30]) await clock.to(ms);
  assert.deepEqual(over, ["second", "third"]);
});

test("when nothing is due nothing sleeps for long: the process can end", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  const one = { expire: () => assert.fail("it was cleared") };
  deadlines.set(one, 600_000);
  deadlines.clear(one);
  const [sleeper] = clock.sleepers;
  assert.ok(sleeper && sleeper.atMs <= 1_000);
  await clock.to(1_000);
  assert.equal(clock.sleepers.size, 0);
  deadlines.set(one, 10);
  deadlines.close();
  assert.equal(clock.sleepers.size, 0);
  await clock.to(20_000);
  const over = Promise.withResolvers<void>();
  new Deadlines(systemClock).set({ expire: over.resolve }, 1);
  await over.promise;
});

test("one that is put off is not woken for, and ends at its new time", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  const over: number[] = [];
  const one = { expire: () => void over.push(clock.nowMs()) };
  deadlines.set(one, 500);
  deadlines.set(one, 2_500);
  assert.equal(clock.sleepers.size, 1);
  for (const ms of [500, 1_500, 2_499, 2_500, 9_000]) await clock.to(ms);
  assert.deepEqual(over, [2_500]);
});

test("whoever is set and cleared in whatever order, each ends when it is due and nobody else does", async () => {
  const act = fc.record({
    who: fc.nat(4),
    afterMs: fc.constantFrom(-1, 0, 5, 10, 15),
    waitMs: fc.constantFrom(0, 0, 5, 10),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 20 }), async (acts) => {
      const clock = manualClock();
      const deadlines = new Deadlines(clock);
      const dueMs = new Map<number, number>();
      const told: number[] = [];
      const mortals = Array.from({ length: 5 }, (_, who) => ({ expire: () => void told.push(who) }));
      for (const { who, afterMs, waitMs } of acts) {
        const mortal = mortals[who] ?? assert.fail();
        if (afterMs < 0) deadlines.clear(mortal);
        else deadlines.set(mortal, afterMs);
        if (afterMs < 0) dueMs.delete(who);
        else dueMs.set(who, clock.nowMs() + afterMs);
        if (waitMs === 0) continue;
        await clock.to(clock.nowMs() + waitMs);
        const over = [...dueMs].filter(([, atMs]) => atMs <= clock.nowMs()).map(([each]) => each);
        assert.deepEqual(
          told.splice(0).toSorted((a, b) => a - b),
          over.toSorted((a, b) => a - b),
        );
        for (const each of over) dueMs.delete(each);
      }
    }),
    { seed: 64, numRuns: 200 },
  );
});

test("one that ends another's deadline, or sets it later, as it ends itself is heeded", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  const over: string[] = [];
  const named = (name: string) => ({ expire: () => void over.push(name) });
  const [cleared, later] = [named("cleared"), named("later")];
  deadlines.set({ expire: () => (deadlines.clear(cleared), deadlines.set(later, 30)) }, 10);
  deadlines.set(cleared, 10);
  deadlines.set(later, 10);
  await clock.to(10);
  assert.deepEqual(over, []);
  await clock.to(40);
  assert.deepEqual(over, ["later"]);
});
