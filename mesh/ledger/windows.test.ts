import assert from "node:assert/strict";
import test from "node:test";
import { calendar, type WindowKind } from "./windows.ts";

function assertWindow(zone: string, kind: WindowKind, at: string, start: string, end: string): void {
  const window = calendar(zone)(kind, Date.parse(at));
  assert.deepEqual(
    [new Date(window.startMs).toISOString(), new Date(window.endMs).toISOString()],
    [start, end],
    `${zone} ${at}`,
  );
}

test("a day begins and ends at local midnight", () => {
  assertWindow("UTC", "day", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00.000Z", "2026-03-02T00:00:00.000Z");
  assertWindow("UTC", "day", "2026-03-01T23:59:59.999Z", "2026-03-01T00:00:00.000Z", "2026-03-02T00:00:00.000Z");
  assertWindow("Asia/Kathmandu", "day", "2026-03-01T18:14:00Z", "2026-02-28T18:15:00.000Z", "2026-03-01T18:15:00.000Z");
});

test("a day of 23 hours, of 25 hours, and one whose midnight does not exist", () => {
  assertWindow("Europe/Berlin", "day", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z");
  assertWindow("Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z");
  assertWindow("Africa/Cairo", "day", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00.000Z", "2026-04-24T21:00:00.000Z");
});

test("a month ends with its last day, over a leap year, a year's end and a change of the clocks", () => {
  assertWindow("UTC", "month", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00.000Z", "2028-03-01T00:00:00.000Z");
  assertWindow("UTC", "month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z");
  assertWindow(
    "Europe/Berlin",
    "month",
    "2026-03-10T00:00:00Z",
    "2026-02-28T23:00:00.000Z",
    "2026-03-31T22:00:00.000Z",
  );
});

test("windows follow one another without a gap for two years, in every kind of zone", () => {
  for (const zone of [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Africa/Cairo",
    "Pacific/Apia",
    "Australia/Lord_Howe",
  ]) {
    const windowAt = calendar(zone);
    let window = windowAt("day", Date.parse("2026-01-01T12:00:00Z"));
    for (let day = 0; day < 730; day++) {
      const next = windowAt("day", window.endMs);
      assert.equal(next.startMs, window.endMs, zone);
      assert.deepEqual(windowAt("day", next.endMs - 1), next, zone);
      window = next;
    }
  }
});
