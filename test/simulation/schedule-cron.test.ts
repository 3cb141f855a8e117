/** Cron against a naive oracle: it steps minute by minute in the zone and knows nothing of how ticks are found. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CronPattern } from "../../mesh/schedule/cron.ts";
import { Zone } from "../../mesh/schedule/zone.ts";

const MINUTE = 60_000;
const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago"];

const clocks = new Map<string, Intl.DateTimeFormat>();
/** [minute, hour, day, month, weekday] that the wall shows. */
function wall(ms: number, zone: string): readonly number[] {
  let clock = clocks.get(zone);
  if (!clock) {
    const form = { timeZone: zone, hourCycle: "h23", weekday: "short", month: "numeric" } as const;
    clocks.set(
      zone,
      (clock = new Intl.DateTimeFormat("en-US", { ...form, day: "numeric", hour: "numeric", minute: "numeric" })),
    );
  }
  const parts = Object.fromEntries(clock.formatToParts(ms).map(({ type, value }) => [type, value]));
  const weekday = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].indexOf(parts["weekday"] ?? "");
  return [...["minute", "hour", "day", "month"].map((name) => Number(parts[name])), weekday];
}

function matchesField(text: string, value: number, weekday: boolean): boolean {
  return text.split(",").some((item) => {
    const [range = "", step = "1"] = item.split("/");
    const [low, high] = range === "*" ? [-1, 99] : range.split("-").map(Number);
    const from = low ?? 0;
    const to = high ?? from;
    const values = weekday && value === 0 ? [0, 7] : [value];
    return values.some((v) => {
      if (range === "*") return (v - (weekday ? 0 : (START.get(text) ?? 0))) % Number(step) === 0;
      return v >= from && v <= to && (v - from) % Number(step) === 0;
    });
  });
}
const START = new Map<string, number>();

function matches(pattern: string, shown: readonly number[]): boolean {
  const fields = pattern.split(" ");
  const field = (at: number): boolean => {
    // `*/n` counts from the lowest value of its field.
    START.set(fields[at] ?? "", at === 2 || at === 3 ? 1 : 0);
    return matchesField(fields[at] ?? "", shown[at] ?? -1, at === 4);
  };
  const day = fields[2] === "*" || fields[4] === "*" ? field(2) && field(4) : field(2) || field(4);
  return field(0) && field(1) && field(3) && day;
}

/** Local minutes since the epoch, to see where the wall jumps. */
const localMinutes = (ms: number, zone: Zone): number => (ms + zone.offsetMs(ms)) / MINUTE;

/** Every tick in (from, to], the wall read minute by minute. */
function oracle(pattern: string, name: string, fromMs: number, toMs: number): number[] {
  const zone = new Zone(name);
  const anyHour = (pattern.split(" ")[1] ?? "").startsWith("*");
  const ticks: number[] = [];
  const begin = fromMs - 26 * 60 * MINUTE;
  let highest = localMinutes(begin, zone);
  for (let ms = begin + MINUTE; ms <= toMs; ms += MINUTE) {
    const local = localMinutes(ms, zone);
    let hit = matches(pattern, wall(ms, name));
    if (!anyHour) {
      if (local <= highest) hit = false;
      // What the wall has skipped falls on this first minute after the gap.
      for (let skipped = highest + 1; skipped < local; skipped++)
        hit ||= matches(pattern, wall(skipped * MINUTE, "UTC"));
    }
    highest = Math.max(highest, local);
    if (hit && ms > fromMs) ticks.push(ms);
  }
  return ticks;
}

function ticksOf(pattern: string, name: string, fromMs: number, toMs: number): number[] {
  const parsed = CronPattern.parse(pattern);
  assert.ok(parsed.ok, pattern);
  const zone = new Zone(name);
  const ticks: number[] = [];
  for (let at = parsed.value.next(fromMs, zone); at !== undefined && at <= toMs; at = parsed.value.next(at, zone))
    ticks.push(at);
  return ticks;
}

/** Moments at which clocks change, a leap day, the end of a year, and an ordinary day. */
const MOMENTS = [
  "2026-03-29T01:00Z",
  "2026-10-25T01:00Z",
  "2026-03-08T07:00Z",
  "2026-11-01T06:00Z",
  "2026-04-04T15:00Z",
  "2026-10-03T15:30Z",
  "2026-04-05T03:00Z",
  "2026-09-06T04:00Z",
  "2028-02-29T12:00Z",
  "2027-12-31T23:00Z",
  "2026-06-15T12:00Z",
].map((text) => Date.parse(text));

const number = (min: number, max: number) => fc.integer({ min, max }).map(String);
const field = (min: number, max: number) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 3, arbitrary: number(min, max) },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 20 }).map((step) => `*/${Math.min(step, max - min)}`) },
    { weight: 1, arbitrary: fc.tuple(number(min, max), number(min, max)).map(([a, b]) => `${a},${b}`) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
        .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
    },
  );
const pattern = fc
  .tuple(
    field(0, 59),
    fc.oneof(field(0, 23), fc.constantFrom("0", "1", "2", "3", "2,3", "1-3")),
    field(1, 28),
    fc.constant("*"),
    field(0, 7),
  )
  .map((fields) => fields.join(" "));

test("ticks are those of an oracle that steps minute by minute: changes of the clock, leap days, ends of years", () => {
  fc.assert(
    fc.property(
      pattern,
      fc.constantFrom(...ZONES),
      fc.constantFrom(...MOMENTS),
      fc.integer({ min: 0, max: 180 }),
      (text, zone, moment, shift) => {
        const from = moment - shift * MINUTE;
        const to = moment + 4 * 60 * MINUTE;
        assert.deepEqual(ticksOf(text, zone, from, to), oracle(text, zone, from, to), `${text} in ${zone}`);
      },
    ),
    { seed: 5, numRuns: 400 },
  );
});

test("a fixed time that is skipped falls after the gap, one that comes twice counts once; `*` follows the clock", () => {
  const day = (text: string): [number, number] => [
    Date.parse(`${text}T00:00Z`) - 7_200_000,
    Date.parse(`${text}T23:00Z`),
  ];
  const at = (texts: readonly string[]): number[] => texts.map((text) => Date.parse(text));
  assert.deepEqual(ticksOf("30 2 * * *", "Europe/Berlin", ...day("2026-03-29")), at(["2026-03-29T01:00Z"]));
  assert.deepEqual(ticksOf("30 2 * * *", "Europe/Berlin", ...day("2026-10-25")), at(["2026-10-25T00:30Z"]));
  assert.equal(ticksOf("0 * * * *", "Europe/Berlin", ...day("2026-10-25")).length, 25);
  // Asked in the middle of the hour that comes a second time.
  const second = Date.parse("2026-10-25T01:10Z");
  assert.deepEqual(ticksOf("30 2 * * *", "Europe/Berlin", second, second + 3_600_000), []);
});

test("29 February is found over the longest pause between two of them", () => {
  assert.deepEqual(ticksOf("0 12 29 2 *", "UTC", Date.parse("2096-03-01T00:00Z"), Date.parse("2105-01-01T00:00Z")), [
    Date.parse("2104-02-29T12:00Z"),
  ]);
});

/** Every moment of some years at which a zone's clocks change, found by looking at every hour. */
function transitions(name: string, fromMs: number, toMs: number): number[] {
  const zone = new Zone(name);
  const found: number[] = [];
  let before = zone.offsetMs(fromMs);
  for (let ms = fromMs + 3_600_000; ms <= toMs; ms += 3_600_000) {
    const offset = zone.offsetMs(ms);
    if (offset !== before) found.push(ms);
    before = offset;
  }
  return found;
}

test("around every change of every clock of four years: fixed times in, before and after it, lists, any hour", () => {
  const [from, to] = [Date.parse("2026-01-01T00:00Z"), Date.parse("2030-01-01T00:00Z")];
  const all = [...ZONES, "Africa/Casablanca", "Pacific/Chatham"].flatMap((zone) =>
    transitions(zone, from, to).map((at) => [zone, at] as const),
  );
  assert.ok(all.length >= 8 * 5, "clocks change twice a year in most of these zones");
  for (const [at, [zone, change]] of all.entries()) {
    const hour = Number(wall(change, zone)[1]);
    const near = [hour, (hour + 23) % 24, (hour + 22) % 24].map((each) => `30 ${each} * * *`);
    const lists = ["15,45 1-3 * * *", "0 0 * * *", "*/20 * * * *", "59 23 * * *"];
    // Two of the seven at each change, in turn, so that every pattern meets every kind of change.
    const texts = [...near, ...lists].filter((_, n) => n % 4 === at % 4 || n === at % 3);
    for (const text of texts) {
      const begin = change - 4 * 3_600_000;
      const end = change + 4 * 3_600_000;
      assert.deepEqual(ticksOf(text, zone, begin, end), oracle(text, zone, begin, end), `${text} in ${zone}`);
    }
  }
});

test("days that only some months or years have: 29 February, the 30th and 31st, over eleven years", () => {
  const [first, last] = [2026, 2036];
  for (const [text, day, months] of [
    ["15 12 29 2 *", 29, [2]],
    ["15 12 31 * *", 31, [1, 3, 5, 7, 8, 10, 12]],
    ["15 12 30 * *", 30, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
    ["15 12 29 * *", 29, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
  ] as const) {
    for (const name of ["UTC", "Asia/Kathmandu", "America/New_York"]) {
      const wanted: number[] = [];
      for (let year = first; year <= last; year++) {
        for (const month of months) {
          const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
          if (month === 2 && day === 29 && !isLeap) continue;
          // The one instant of that day at which the wall shows noon and a quarter.
          const noon = Date.UTC(year, month - 1, day, 12, 15);
          const hours = Array.from({ length: 29 * 4 }, (_, n) => noon + (n - 14 * 4) * 15 * MINUTE);
          wanted.push(...hours.filter((ms) => wall(ms, name).slice(0, 4).join() === [15, 12, day, month].join()));
        }
      }
      assert.deepEqual(
        ticksOf(text, name, Date.UTC(first, 0, 1), Date.UTC(last + 1, 0, 1) - 1),
        wanted,
        `${text} in ${name}`,
      );
    }
  }
});

test("a pattern that cannot be meant is refused with the field", () => {
  for (const [text, reason] of [
    ["*/0 * * * *", /minute `\*\/0`: a step of 0 never ends/],
    ["* * * * * *", /6 fields/],
    ["60 * * * *", /minute `60`: expected 0 to 59/],
    ["* 5-1 * * *", /hour `5-1`: a range goes/],
    ["0 0 30 2 *", /never comes/],
    ["0 0 31 4,6 *", /never comes/],
    ["* * * 13 *", /month `13`/],
    ["0 0 L * *", /day of the month `l`/],
    ["@daily", /1 fields/],
    ["5/2 * * * *", /a step needs a range/],
    [`${"0,".repeat(200)}0 * * * *`, /longer than/],
    ["*  * * * *", /6 fields/],
    ["*/99 * * * *", /longer than the field/],
  ] as const) {
    const parsed = CronPattern.parse(text);
    assert.ok(!parsed.ok, text);
    assert.match(parsed.error, reason);
  }
  for (const text of ["*/15 0-6 * JAN-MAR MON-FRI", "0 9 1,15 * 1-5", "0 0 * * 7"])
    assert.ok(CronPattern.parse(text).ok, text);
});
