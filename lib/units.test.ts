import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatBytes, formatDuration, formatUsd, parseBytes, parseCount, parseDuration, parseUsd } from "./units.ts";

const value = (result: ReturnType<typeof parseUsd>): number | string => (result.ok ? result.value : result.error);

test("units are pinned", () => {
  assert.deepEqual(
    ["1B", "1kB", "1MB", "1GB", "1KiB", "384MiB", "1.5GiB", "0B"].map((text) => value(parseBytes(text))),
    [1, 1_000, 1_000_000, 1_000_000_000, 1_024, 402_653_184, 1_610_612_736, 0],
  );
  assert.deepEqual(
    ["250ms", "30s", "1.5m", "2h", "7d"].map((text) => value(parseDuration(text))),
    [250, 30_000, 90_000, 7_200_000, 604_800_000],
  );
  assert.deepEqual(
    ["7", "200k", "1.5M", "2G"].map((text) => value(parseCount(text))),
    [7, 200_000, 1_500_000, 2_000_000_000],
  );
  assert.deepEqual(
    ["2", "2.00", "0.000001", "999999999.999999"].map((text) => value(parseUsd(text))),
    [2_000_000, 2_000_000, 1, 999_999_999_999_999],
  );
});

test("a wrong, missing or foreign unit is refused, and so is every other spelling of a number", () => {
  const numbers = [
    "",
    " ",
    "-1",
    "+1",
    "1e3",
    "0x10",
    "١",
    ".5",
    "5.",
    "1,000",
    "1_000",
    "1 ",
    " 1",
    "Infinity",
    "NaN",
    "1.0000001",
    "1".repeat(16),
  ];
  for (const parse of [parseBytes, parseDuration, parseCount]) {
    for (const number of numbers)
      for (const unit of ["MiB", "s", "k", ""]) assert.equal(parse(number + unit).ok, false, number + unit);
  }
  for (const number of numbers) assert.equal(parseUsd(number).ok, false, number);
  for (const text of ["1", "1.5"])
    for (const parse of [parseBytes, parseDuration]) assert.match(String(value(parse(text))), /needs a unit/);
  for (const text of ["1b", "1kb", "1KB", "1mib", "1k", "1s", "1 MiB", "1MiBs", "1constructor", "1toString"])
    assert.equal(parseBytes(text).ok, false, text);
  for (const text of ["1S", "1min", "1sec", "1M", "1w", "1us", "1MiB"])
    assert.equal(parseDuration(text).ok, false, text);
  for (const text of ["1K", "1m", "1g", "1kk", "1s", "1B"]) assert.equal(parseCount(text).ok, false, text);
  for (const text of ["$2", "2$", "2.0000000", "1234567890", "2 USD"]) assert.equal(parseUsd(text).ok, false, text);
});

test("what is no whole number of the smallest unit, or too large to count, is refused", () => {
  for (const text of ["1.5B", "0.0001KiB", "9999999999GiB"])
    assert.match(String(value(parseBytes(text))), /whole number/);
  for (const text of ["0.5ms", "0.0001s"]) assert.match(String(value(parseDuration(text))), /whole number/);
  assert.match(String(value(parseCount("0.5"))), /whole number/);
});

test("amounts of money survive the round trip exactly", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999_999 }), (microUsd) => {
      assert.equal(value(parseUsd(formatUsd(microUsd).slice(1))), microUsd);
    }),
    { seed: 5, numRuns: 1_000 },
  );
});

test("what is shown is pinned", () => {
  assert.deepEqual([0, 1, 10_000, 2_000_000, 1_234_567, -2_500_000].map(formatUsd), [
    "$0.00",
    "$0.000001",
    "$0.01",
    "$2.00",
    "$1.234567",
    "-$2.50",
  ]);
  assert.deepEqual([0, 1_023, 1_024, 402_653_184, 1_610_612_736].map(formatBytes), [
    "0 B",
    "1023 B",
    "1 KiB",
    "384 MiB",
    "1.5 GiB",
  ]);
  assert.deepEqual([0, 850, 12_340, 185_000].map(formatDuration), ["0 ms", "850 ms", "12.3 s", "3m 05s"]);
});
