import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "./counters.ts";
import type { CurrentWindows } from "./current-windows.ts";
import type { Caps } from "./ledger.ts";
import { Places } from "./places.ts";

const DAY_MS = 86_400_000;

function placesAt() {
  let windows = { day: { startMs: 0, endMs: DAY_MS }, month: { startMs: 0, endMs: 30 * DAY_MS } };
  let caps: Caps = { day: { tokens: 10 }, month: {} };
  const counters = new Counters();
  const places = new Places({
    counters,
    windows: { now: () => windows, latestMs: () => windows.day.startMs } as unknown as CurrentWindows,
    caps: () => caps,
    open: new Map(),
  });
  return {
    ...{ places, counters },
    setCaps: (next: Caps) => (caps = next),
    nextDay: () => (windows = { ...windows, day: { startMs: DAY_MS, endMs: 2 * DAY_MS } }),
  };
}

test("a place is made once, and anew when its cap or its window is another", () => {
  const { places, setCaps, nextDay } = placesAt();
  const [day, month] = places.of(["fleet"]);
  assert.deepEqual(places.of(["fleet"]), [day, month]);
  assert.equal(places.of(["fleet"])[0], day, "the same one");
  setCaps({ day: { tokens: 5 }, month: {} });
  assert.equal(places.of(["fleet"])[0]?.cap.tokens, 5, "a new cap of the day holds at once");
  setCaps({ day: { tokens: 5 }, month: { usd: 7 } });
  assert.equal(places.of(["fleet"])[1]?.cap.usd, 7, "and one of the month");
  nextDay();
  assert.deepEqual(
    places.of(["fleet"]).map(({ startMs }) => startMs),
    [DAY_MS, 0],
  );
});

test("what is used in a place is that of its counter, before it has one and when it has", () => {
  const { places, counters } = placesAt();
  const [day] = places.of(["fleet"]);
  assert.ok(day);
  assert.equal(places.used(day).settled.tokens, 0);
  assert.equal(counters.all().length, 0, "to look makes none");
  counters.at("fleet", "day", 0).settled.tokens = 3;
  assert.equal(places.used(day).settled.tokens, 3);
  day.counter.settled.tokens = 4;
  assert.equal(counters.peek("fleet", "day", 0).settled.tokens, 4);
});
