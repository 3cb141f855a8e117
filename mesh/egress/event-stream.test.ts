import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EventSplitter, eventData } from "./event-stream.ts";

const line = fc.constantFrom(
  "data: a",
  "data:b",
  "data:",
  "event: x",
  ": comment",
  "data:  two",
  "id: 1",
  'data: {"k":1}',
  "data: é😀",
);
const event = fc.array(line, { minLength: 1, maxLength: 3 });
const stream = fc.tuple(
  fc.array(event, { maxLength: 6 }),
  fc.constantFrom("\n", "\r\n", "\r"),
  fc.constantFrom("", "data: unfinished"),
);

const write = (events: readonly (readonly string[])[], end: string): string =>
  events.map((lines) => lines.map((l) => l + end).join("") + end).join("");

test("any cuts give the same events, and hold back what is not finished", () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(200), { maxLength: 10 }), ([events, end, tail], cuts) => {
      const whole = Buffer.from(write(events, end));
      const bytes = Buffer.concat([whole, Buffer.from(tail)]);
      const splitter = new EventSplitter(1_000);
      const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const passed = places.slice(1).map((to, at) => splitter.push(bytes.subarray(places[at], to)));
      assert.equal(Buffer.concat(passed).toString(), whole.toString());
      assert.equal(splitter.rest().toString(), tail);
      const wanted = events
        .map((lines) => lines.filter((l) => l.startsWith("data:")).map((l) => l.slice(5).replace(/^ /, "")))
        .filter((data) => data.length > 0)
        .map((data) => data.join("\n"));
      assert.deepEqual(
        passed.flatMap((part) => [...eventData(part)]),
        wanted,
      );
    }),
    { seed: 16, numRuns: 1_000 },
  );
});

test("an event larger than the bound is an error, also when it comes byte by byte", () => {
  assert.throws(() => new EventSplitter(10).push(Buffer.from("data: 12345")), RangeError);
  const splitter = new EventSplitter(10);
  assert.throws(() => [..."data: 12345"].forEach((char) => splitter.push(Buffer.from(char))), RangeError);
  assert.equal(new EventSplitter(10).push(Buffer.from("data: 1\n\n".repeat(100))).length, 900);
});

test("a large event that comes byte by byte is put together in linear time", () => {
  const event = Buffer.from(`data: ${"x".repeat(400_000)}`);
  const splitter = new EventSplitter(1_000_000);
  for (let at = 0; at < event.length; at++) assert.equal(splitter.push(event.subarray(at, at + 1)).length, 0);
  assert.equal(splitter.push(Buffer.from("\n")).length, 0);
  const whole = splitter.push(Buffer.from("\ndata: y"));
  assert.equal(whole.toString(), `${event.toString()}\n\n`);
  assert.equal(splitter.rest().toString(), "data: y");
});

test("a byte order mark does not hide the first event from the meter, as it does not from a reader", () => {
  assert.deepEqual([...eventData(Buffer.from("\ufeffdata: a\n\n"))], ["a"]);
});
