import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Counters } from "./counters.ts";
import type { CapUnits } from "./ledger.ts";
import { Notices, type BudgetNotice } from "./notices.ts";
import { Place } from "./places.ts";
import type { WindowName } from "./windows.ts";

const DAY_MS = 86_400_000;

const step = fc.record({
  /** Of a thousand. */
  share: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 400 })),
  passesMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: DAY_MS / 8 })),
});

for (const window of ["day", "month", "run"] as const satisfies readonly WindowName[]) {
  test(`who looks only at a ${window} that is not quiet tells what one tells who looks each time (property)`, () => {
    const steps = fc.array(step, { maxLength: 40 });
    const caps = fc.record(
      { tokens: fc.constantFrom(0, 1, 7, 1_000, 1_000_000_007), usd: fc.constantFrom(3, 999, 2 ** 51) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(caps, steps, (cap, taken) => {
        let nowMs = 0;
        const clock = { nowMs: () => nowMs };
        const all: BudgetNotice[] = [];
        const told: BudgetNotice[] = [];
        const [always, sometimes] = [new Notices((each) => all.push(each)), new Notices((each) => told.push(each))];
        const [every, quiet] = [placeOf(window, cap), placeOf(window, cap)];
        for (const { share, passesMs } of taken) {
          nowMs += passesMs;
          for (const place of [every, quiet])
            for (const unit of ["tokens", "usd"] as const)
              place.counter.settled[unit] += Math.round(((cap[unit] ?? 1_000) / 1_000) * share);
          always.look(every, every.counter.settled, clock);
          if (!quiet.quiet) sometimes.look(quiet, quiet.counter.settled, clock);
        }
        assert.deepEqual(told, all);
      }),
      { seed: 13, numRuns: 500 },
    );
  });
}

const placeOf = (window: WindowName, cap: CapUnits): Place =>
  new Place(new Counters(), { scope: "fleet", window, startMs: 0 }, DAY_MS, cap);

test("most of what is settled is not looked at", () => {
  const place = placeOf("day", { tokens: 1_000 });
  const clock = { nowMs: () => DAY_MS / 2 };
  const notices = new Notices(() => {});
  let looked = 0;
  for (let n = 0; n < 450; n++) {
    place.counter.settled.tokens++;
    if (place.quiet) continue;
    looked++;
    notices.look(place, place.counter.settled, clock);
  }
  assert.equal(looked, 1, "at a fifth, and then not before the half that is elapsed");
});

test("a rolling window that has a cap is always looked at, as it can empty", () => {
  assert.ok(!placeOf("rolling:60000", { tokens: 1_000 }).quiet);
  assert.ok(placeOf("day", {}).quiet);
});
