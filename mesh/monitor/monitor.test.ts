import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { Monitor } from "./monitor.ts";

test("events come in order, after the one that was seen, a page at a time", async () => {
  const monitor = new Monitor({ ...systemClock, nowMs: () => 7 });
  for (let i = 0; i < 5; i++) monitor.emit("t", i % 2 ? "a" : null, { i });
  const page = await monitor.after(1, 0, 2);
  assert.deepEqual(page, [
    { seq: 2, atMs: 7, type: "t", agent: "a", detail: { i: 1 } },
    { seq: 3, atMs: 7, type: "t", agent: null, detail: { i: 2 } },
  ]);
  assert.deepEqual(await monitor.after(5, 0, 9), []);
});

test("a wait ends with the next event or with its time", async () => {
  const monitor = new Monitor(systemClock);
  const waiting = monitor.after(0, 10_000, 9);
  monitor.emit("t", null);
  assert.equal((await waiting).length, 1);
  assert.deepEqual(await monitor.after(1, 5, 9), []);
});

test("what is kept is bounded, and a flood of one kind pushes out itself only", async () => {
  const monitor = new Monitor(systemClock);
  monitor.emit("rare", null);
  for (let i = 0; i < 30_000; i++) monitor.emit("flood", "a");
  const kept = await monitor.after(0, 0, 1e6);
  assert.ok(kept.length <= 5_000 && kept.length > 4_000);
  assert.equal(kept[0]?.type, "rare");
  assert.equal(kept.at(-1)?.seq, 30_001);
});
