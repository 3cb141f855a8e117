import assert from "node:assert/strict";
import { StringDecoder } from "node:string_decoder";
import { test } from "node:test";
import fc from "fast-check";
import { EVENT_TOO_LONG, SseParser, type SseEvent } from "./sse.ts";

const SEED = 20261122;

function parse(pieces: readonly string[], charsMax = 1e6): { events: SseEvent[]; fault: string | undefined } {
  const events: SseEvent[] = [];
  const parser = new SseParser(charsMax, (event) => events.push(event));
  let fault: string | undefined;
  for (const piece of pieces) fault ??= parser.push(piece);
  return { events, fault };
}

test("the examples of the standard", () => {
  assert.deepEqual(
    parse([": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"]).events,
    [
      { event: "message", data: "first event" },
      { event: "message", data: "second event" },
      { event: "message", data: " third event" },
    ],
  );
  assert.deepEqual(parse(["data\n\ndata\ndata\n\ndata:"]).events, [
    { event: "message", data: "" },
    { event: "message", data: "\n" },
  ]);
  assert.deepEqual(parse(["data: YHOO\ndata: +2\ndata: 10\n\n"]).events, [{ event: "message", data: "YHOO\n+2\n10" }]);
});

test("names of events, all three line ends, a byte-order mark", () => {
  const events = [
    { event: "ping", data: "{}" },
    { event: "message", data: "b" },
  ];
  for (const end of ["\n", "\r\n", "\r"]) {
    const text = ["\ufeffevent: ping", "data: {}", "", "event: lost", "", "data: b", "", ""].join(end);
    assert.deepEqual(parse([text]).events, events);
  }
});

test("an event that was not ended is not dispatched", () => {
  assert.deepEqual(parse(["data: half"]).events, []);
  assert.deepEqual(parse(["data: half\n"]).events, []);
});

test("any chunking of any bytes gives the same events", () => {
  const line = fc.oneof(
    fc.constantFrom("", "", "data", "event: x", ":", "data:", "data:  a", "retry: 1"),
    fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => `data: ${text}`),
  );
  const stream = fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 30 });
  const property = fc.property(stream, fc.array(fc.nat(400), { maxLength: 20 }), (lines, cuts) => {
    const text = lines.map(([content, end]) => content + end).join("");
    const bytes = Buffer.from(text);
    const decoder = new StringDecoder("utf8");
    const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
    const pieces = at.slice(1).map((end, i) => decoder.write(bytes.subarray(at[i], end)));
    assert.deepEqual(parse(pieces), parse([bytes.toString("utf8")]));
  });
  fc.assert(property, { seed: SEED, numRuns: 1_000 });
});

test("a line or an event past the bound is a fault, not memory", () => {
  assert.equal(parse(["data: ", "x".repeat(100)], 50).fault, EVENT_TOO_LONG);
  assert.equal(
    parse(
      Array.from({ length: 20 }, () => "data: xxxxx\n"),
      50,
    ).fault,
    EVENT_TOO_LONG,
  );
  assert.equal(parse(["data: xxxxx\n\n".repeat(100)], 50).fault, undefined);
});

test("time is linear in the length, also for one-character pieces", () => {
  const spent = (length: number): number => {
    const parser = new SseParser(1e9, () => {});
    const before = process.cpuUsage();
    parser.push("data: ");
    for (let i = 0; i < length; i++) parser.push("x");
    parser.push("\n\n");
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  spent(50_000);
  const ratio = spent(800_000) / spent(100_000);
  assert.ok(ratio < 32, `8 times the input took ${ratio.toFixed(1)} times as long`);
});
