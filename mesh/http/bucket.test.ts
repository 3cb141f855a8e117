import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../lib/clock.ts";
import { TokenBucket } from "./bucket.ts";

const at = (ms: { now: number }) => ({ ...systemClock, monotonicMs: () => ms.now });
const drain = (bucket: TokenBucket): number => {
  let taken = 0;
  while (bucket.take()) taken++;
  return taken;
};

test("a burst at once, then so many a second, and never more than the burst saved up", () => {
  const ms = { now: 5_000 };
  const bucket = new TokenBucket(at(ms), 10, 4);
  assert.equal(drain(bucket), 10);
  ms.now += 249;
  assert.equal(drain(bucket), 0);
  ms.now += 1;
  assert.equal(drain(bucket), 1);
  ms.now += 1_000;
  assert.equal(drain(bucket), 4);
  ms.now += 3_600_000;
  assert.equal(drain(bucket), 10);
});

test("over any time, no order of requests takes more than burst + rate × time", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.nat(500), { maxLength: 60 }),
      (burst, perSecond, waits) => {
        const ms = { now: 0 };
        const bucket = new TokenBucket(at(ms), burst, perSecond);
        let taken = 0;
        for (const wait of waits) {
          ms.now += wait;
          taken += drain(bucket);
          assert.ok(taken <= burst + (ms.now * perSecond) / 1_000 + 1e-6);
        }
      },
    ),
    { seed: 19 },
  );
});

test("what is charged for afterwards is a debt, of no more than a burst, that time pays", () => {
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const bucket = new TokenBucket(clock, 4, 2);
  bucket.charge(4);
  assert.equal(bucket.inDebt, false);
  assert.equal(bucket.take(), false);
  bucket.charge(1_000);
  assert.equal(bucket.inDebt, true);
  nowMs = 1_999;
  assert.equal(bucket.inDebt, true);
  nowMs = 2_000;
  assert.equal(bucket.inDebt, false);
  nowMs = 2_500;
  assert.equal(bucket.take(), true);
});
