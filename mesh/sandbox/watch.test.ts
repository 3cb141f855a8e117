import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { startTimeOf } from "./proc.ts";
import { Watch, type Watched } from "./watch.ts";

const SANDBOXES = 200;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sandboxes that are this very process; `dead` have another start time than it has. */
function scene() {
  const ticks: (() => void)[] = [];
  const watch = new Watch({ ...systemClock, sleep: () => new Promise((resolve) => ticks.push(resolve)) });
  const seen = { looks: Array.from({ length: SANDBOXES }, () => 0), counted: 0, ended: 0 };
  const startTime = startTimeOf(process.pid) ?? "";
  let dead = false;
  const watchedOf = (n: number): Watched => ({
    pid: process.pid,
    get startTime() {
      return dead ? "another" : startTime;
    },
    lookAtCompanion: () => undefined,
    lookAtCounters: () => {
      seen.looks[n] = (seen.looks[n] ?? 0) + 1;
      seen.counted++;
    },
    ended: () => void seen.ended++,
  });
  for (let n = 0; n < SANDBOXES; n++) watch.add(watchedOf(n));
  /** Lets one tick go by; returns how many turns others had meanwhile. */
  const tick = async (): Promise<number> => {
    ticks.shift()?.();
    let turns = 0;
    for (; ticks.length === 0 && seen.ended < SANDBOXES; turns++) await turn();
    return turns;
  };
  return { seen, tick, die: () => void (dead = true) };
}

describe("the watch over sandboxes", { timeout: 20_000 }, () => {
  it("reads the counters of each now and then, and never those of all at once", async () => {
    const { seen, tick } = scene();
    for (let n = 0; n < 10; n++) {
      const before = seen.counted;
      await tick();
      assert.ok(seen.counted - before <= SANDBOXES / 5 + 1, `${seen.counted - before} in one tick`);
    }
    assert.deepEqual(new Set(seen.looks), new Set([2]));
  });

  it("lets others have their turn among many", async () => {
    const { tick } = scene();
    assert.ok((await tick()) >= Math.floor(SANDBOXES / 64), "a turn after each 64");
  });

  it("tells of each that has ended, once, and rests when none is left", async () => {
    const { seen, tick, die } = scene();
    await tick();
    die();
    await tick();
    assert.equal(seen.ended, SANDBOXES);
    await tick();
    assert.equal(seen.ended, SANDBOXES);
  });
});
