import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { Looks } from "./looks.ts";

/** Calls `part`s and tells how many of them at most shared a turn of the loop. */
async function mostInOneTurn(work: (part: () => true) => Promise<unknown>): Promise<number> {
  let [most, seen, beating] = [0, 0, true];
  const beat = (): void =>
    void setImmediate(() => {
      seen = 0;
      if (beating) beat();
    });
  beat();
  await work(() => {
    most = Math.max(most, ++seen);
    return true;
  });
  beating = false;
  return most;
}

test("each look of a reader has a turn of its own, whether asked for at once or when the one before has ended", async () => {
  // Time stands still: no look is at the end of what it has of a turn.
  const looks = new Looks({ ...systemClock, monotonicMs: () => 0 });
  const atOnce = await mostInOneTurn((part) =>
    Promise.all(Array.from({ length: 50 }, () => looks.of("agent:a", part))),
  );
  assert.equal(atOnce, 1);
  const oneByOne = await mostInOneTurn(async (part) => {
    for (let n = 0; n < 50; n++) await looks.of("agent:a", part);
  });
  assert.equal(oneByOne, 1);
});

test("looks of other readers do not wait for it, and one that nobody waits for any more ends without a part", async () => {
  const looks = new Looks({ ...systemClock, monotonicMs: () => 0 });
  const order: string[] = [];
  const look = (reader: string, name: string, signal?: AbortSignal) =>
    looks.of(reader, () => (order.push(name), true as const), signal);
  const abort = new AbortController();
  const gone = look("agent:a", "first of a").then(() => abort.abort());
  const all = [look("agent:a", "gone", abort.signal), look("agent:a", "last of a"), look("agent:b", "first of b")];
  await gone;
  assert.deepEqual(await Promise.all(all), [undefined, true, true]);
  assert.deepEqual(order, ["first of a", "first of b", "last of a"]);
});
