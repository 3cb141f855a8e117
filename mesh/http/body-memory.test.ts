import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../lib/clock.ts";
import { BodyCost, BodyMemory } from "./body-memory.ts";
import { Turns } from "./turns.ts";

const bounds = { senderBytesMax: 64, ownBytes: 8, sharedBytesMax: 100 };
const SENDERS = 4;

test("no sender has more than its bound, all together no more than theirs, and what is one's own is always there", () => {
  const act = fc.record({ sender: fc.nat(SENDERS - 1), bytes: fc.nat(80), gives: fc.boolean() });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const memory = new BodyMemory(bounds);
      const shares = Array.from({ length: SENDERS }, () => memory.share());
      const held = shares.map((): number[] => []);
      const sum = (all: readonly number[]): number => all.reduce((total, bytes) => total + bytes, 0);
      const sharedOf = (all: readonly number[]): number => Math.max(0, sum(all) - bounds.ownBytes);
      const shared = (): number => held.reduce((total, all) => total + sharedOf(all), 0);
      for (const { sender, bytes, gives } of acts) {
        const [share, own] = [shares[sender], held[sender]];
        if (!share || !own) continue;
        if (gives) {
          const given = own.pop();
          if (given !== undefined) share.give(given);
          continue;
        }
        const after = sum(own) + bytes;
        const grows = sharedOf([...own, bytes]) - sharedOf(own);
        const may = after <= bounds.senderBytesMax && (grows === 0 || shared() + grows <= bounds.sharedBytesMax);
        assert.equal(share.take(bytes), may);
        if (may) own.push(bytes);
        assert.ok(sum(own) <= bounds.senderBytesMax && shared() <= bounds.sharedBytesMax);
      }
    }),
    { seed: 61 },
  );
});

test("a body that turns out to be heavier holds the difference, and gives back all of it once", () => {
  const memory = new BodyMemory(bounds);
  const share = memory.share();
  const turns = new Turns(systemClock);
  const cost = new BodyCost(turns, share);
  assert.ok(cost.hold(10) && cost.hold(30) && cost.hold(20));
  assert.equal(share.take(35), false);
  assert.equal(cost.hold(65), false);
  assert.ok(share.take(34));
  share.give(34);
  cost.end();
  cost.end();
  assert.ok(new BodyCost(turns, share).hold(64), "nothing is left, and nothing was given twice");
  assert.equal(share.take(1), false);
});
