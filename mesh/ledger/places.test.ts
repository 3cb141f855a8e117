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
  let latestMs = 0;
  const counters = new Counters();
  const places = new Places({
    counters,
    windows: { now: () => windows, latestMs: () => latestMs } as unknown as CurrentWindows,
    caps: () => caps,
    open: new Map(),
  });
  return {
    ...{ places, counters },
    setCaps: (next: Caps) => (caps = next),
    pass: (ms: number) => (latestMs += ms),
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

test("the places of a list that nobody can change are found once, and anew when anything of it is another", () => {
  const { places, setCaps, nextDay } = placesAt();
  const list = Object.freeze(["fleet"] as const);
  const found = places.of(list, "web");
  assert.equal(places.of(list, "web"), found);
  assert.equal(places.of(list, "other"), found, "no destination has a cap");
  assert.ok(places.areCurrent(found, list));
  assert.ok(!places.areCurrent([...found], list), "others that look the same");
  setCaps({ day: { tokens: 5 }, month: {} });
  assert.ok(!places.areCurrent(found, list));
  assert.equal(places.of(list, "web")[0]?.cap.tokens, 5);
  nextDay();
  assert.equal(places.of(list, "web")[0]?.startMs, DAY_MS);
  setCaps({ day: {}, month: {}, destinations: { web: { day: { requests: 1 }, month: {} } } });
  const scopesOf = (destination?: string): string[] => places.of(list, destination).map(({ scope }) => scope);
  for (let n = 0; n < 2; n++) {
    assert.deepEqual(scopesOf("web"), ["fleet", "fleet", "fleet>web", "fleet>web"]);
    assert.deepEqual(scopesOf("other"), ["fleet", "fleet"]);
    assert.deepEqual(scopesOf(), ["fleet", "fleet"]);
  }
});

test("a list with a rolling window is found anew when its bucket is over", () => {
  const { places, setCaps, pass } = placesAt();
  setCaps({ day: {}, month: {}, rolling: [{ spanMs: 12_000, cap: { requests: 1 } }] });
  const list = Object.freeze(["fleet"] as const);
  const before = places.of(list);
  pass(999);
  assert.equal(places.of(list), before);
  pass(1);
  assert.equal(places.of(list)[2]?.startMs, 1_000);
});

test("the places of a run are found each time: its total can leave memory, and come back", () => {
  const counters = new Counters();
  const windows = { day: { startMs: 0, endMs: DAY_MS }, month: { startMs: 0, endMs: DAY_MS } };
  const caps: Caps = { day: {}, month: {} };
  const places = new Places({
    ...{ counters, caps: () => caps },
    windows: { now: () => windows, latestMs: () => 0 } as unknown as CurrentWindows,
    open: new Map([["run:a", { tokens: 9 }]]),
  });
  const list = Object.freeze(["run:a"] as const);
  const [before] = places.of(list);
  assert.ok(before);
  before.counter.settled.tokens = 4;
  assert.ok(counters.forget("run:a", "run", 0));
  counters.at("run:a", "run", 0).settled.tokens = 7;
  assert.equal(places.of(list)[0]?.counter.settled.tokens, 7);
});
