import assert from "node:assert/strict";
import { it } from "node:test";
import { Lanes, shared } from "./lanes.ts";

it("lets so many work at once, in order, and goes on after one that has failed", async () => {
  const lanes = new Lanes(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const works = [0, 1, 2, 3].map((n) =>
    lanes.run(async () => {
      begun.push(n);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (n === 0) throw new Error("as it is");
      return n;
    }),
  );
  const settled = Promise.allSettled(works);
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await turn();
  assert.deepEqual(begun, [0, 1]);
  ends[0]?.();
  await turn();
  assert.deepEqual(begun, [0, 1, 2]);
  ends[1]?.();
  ends[2]?.();
  await turn();
  ends[3]?.();
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ["rejected", "fulfilled", "fulfilled", "fulfilled"],
  );
  assert.equal(await lanes.run(async () => "free"), "free");
});

it("reads once for all who ask meanwhile, and never gives what was read before they asked", async () => {
  let reads = 0;
  const ends: (() => void)[] = [];
  const read = shared(async () => {
    const n = ++reads;
    await new Promise<void>((resolve) => ends.push(resolve));
    if (n === 2) throw new Error("as it is");
    return n;
  });
  const first = read();
  const [second, third] = [read(), read()];
  second.catch(() => undefined);
  assert.equal(reads, 1);
  ends[0]?.();
  assert.equal(await first, 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reads, 2);
  const fourth = read();
  ends[1]?.();
  await assert.rejects(second);
  await assert.rejects(third);
  await new Promise((resolve) => setImmediate(resolve));
  ends[2]?.();
  assert.equal(await fourth, 3);
});
