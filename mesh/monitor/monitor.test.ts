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

test("of many kinds alike each keeps its newest, and to forget costs no walk for each of them", async () => {
  const monitor = new Monitor(systemClock);
  for (let n = 0; n < 60_000; n++) monitor.emit("model.settled", `a${n % 1_000}`, { n });
  const kept = [];
  for (let seq = 0; ;) {
    const page = await monitor.after(seq, 0, 1_000);
    if (page.length === 0) break;
    kept.push(...page);
    seq = page.at(-1)?.seq ?? seq;
  }
  assert.ok(kept.length > 3_000 && kept.length <= 5_000, `${kept.length} are kept`);
  for (let agent = 0; agent < 1_000; agent++)
    assert.ok(kept.some((event) => event.agent === `a${agent}` && event.detail["n"] === 59_000 + agent));
});

test("where no two are alike the oldest go, and no more than need be", async () => {
  const monitor = new Monitor(systemClock);
  for (let n = 0; n <= 5_000; n++) monitor.emit("call.denied", `a${n}`);
  const kept = await monitor.after(0, 0, 1e6);
  assert.deepEqual([kept.length, kept[0]?.seq, kept.at(-1)?.seq], [4_501, 501, 5_001]);
});
