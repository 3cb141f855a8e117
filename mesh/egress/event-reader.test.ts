import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Json } from "../../lib/json.ts";
import { EventReader } from "./event-reader.ts";
import { eventData } from "./event-stream.ts";
import { compileScrubber, TextWatch } from "./scrubber.ts";
import { anthropicFormat } from "./wire/anthropic.ts";
import type { Meter, WireFormat } from "./wire/format.ts";
import { openaiFormat } from "./wire/openai.ts";

const SECRET = "sk-0123456789";
const automaton = compileScrubber([Buffer.from(SECRET)], "-");

/** Each event as JSON, whatever came before it. */
function plainly(meter: Meter, watch: TextWatch, events: Buffer): boolean {
  for (const data of eventData(events)) {
    let event: Json;
    try {
      event = JSON.parse(data) as Json;
    } catch {
      continue;
    }
    for (const { channel, text } of meter.read(event)) if (watch.read(channel, text)) return true;
  }
  return false;
}

const seenOf = (meter: Meter) => ({
  usage: meter.usage,
  tokens: meter.outputTokensSeen,
  bytes: meter.outputBytesSeen,
  complete: meter.complete,
  ending: (meter.passed(), meter.ending("test")),
});

function compare(format: WireFormat, reads: readonly Buffer[]): void {
  const [quick, slow] = [format.meter(), format.meter()];
  const [own, others] = [new TextWatch(automaton), new TextWatch(automaton)];
  const reader = new EventReader(quick, own);
  for (const events of reads) {
    const found = reader.read(Buffer.from(events));
    assert.equal(found, plainly(slow, others, events));
    if (found) return;
    assert.deepEqual(seenOf(quick), seenOf(slow));
    assert.equal(own.open, others.open);
  }
}

const word = fc.oneof(
  fc.constantFrom("Hello", "stop", "content", "index", "", " ", '"', "\\", "\n", "ü", "日本", "\u{1f600}", "}]", ":"),
  fc.constantFrom(SECRET.slice(0, 6), SECRET.slice(6), SECRET, "sk-", "0", "x".repeat(300), '"obfuscation":"'),
  fc.string({ maxLength: 12 }),
);
const head = { id: "c1", object: "chat.completion.chunk", created: 1, model: "m" };
const usage = fc.record({ prompt_tokens: fc.nat(9), completion_tokens: fc.nat(9) });
const openaiEvent = fc.oneof(
  { weight: 8, arbitrary: word.map((content) => ({ ...head, choices: [{ index: 0, delta: { content } }] })) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...Object.fromEntries(Object.entries(head).map(([name, value]) => [name, fc.constant(value)])),
      choices: fc.array(
        fc.record({
          index: fc.nat(2),
          delta: fc.record(
            { content: word, reasoning: word, tool_calls: fc.constant([{ index: 0 }]) },
            { requiredKeys: [] },
          ),
          finish_reason: fc.constantFrom(null, "stop"),
        }),
        { maxLength: 2 },
      ),
      usage: fc.oneof(fc.constant(null), usage),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(word, word, fc.constantFrom(null, "stop")).map(([content, obfuscation, finish_reason]) => ({
      ...{ ...head, choices: [{ index: 0, delta: { content }, finish_reason }] },
      obfuscation,
    })),
  },
);
const anthropicEvent = fc.oneof(
  {
    weight: 6,
    arbitrary: word.map((text) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        type: fc.constantFrom("content_block_delta", "content_block_start", "content_block_stop", "message_stop"),
        index: fc.nat(2),
        delta: fc.record({ text: word, thinking: word, partial_json: word }, { requiredKeys: [] }),
        content_block: fc.record({ text: word }),
        usage: fc.record({ input_tokens: fc.nat(9), output_tokens: fc.nat(9) }),
      },
      { requiredKeys: ["type"] },
    ),
  },
);
const border = fc.oneof(
  { weight: 12, arbitrary: fc.constant("\n") },
  { weight: 1, arbitrary: fc.constantFrom("\r\n", "\r") },
);
/** What is read at once, each some whole events. */
const readsOf = (event: fc.Arbitrary<object>) =>
  fc.array(
    fc
      .array(
        fc
          .tuple(event, border, fc.constantFrom("", "", "", "event: x", ": said", "data: [DONE]", "data: {"))
          .map(
            ([fields, end, before]) =>
              `${before === "" ? "" : before + end + (before.startsWith("data") ? end : "")}data: ${JSON.stringify(fields)}${end}${end}`,
          ),
        { maxLength: 6 },
      )
      .map((events) => Buffer.from(events.join(""))),
    { maxLength: 6 },
  );

test("events that repeat another are counted and watched as if each was read", () => {
  for (const [format, event] of [
    [openaiFormat, openaiEvent],
    [anthropicFormat, anthropicEvent],
  ] as const)
    fc.assert(
      fc.property(readsOf(event as fc.Arbitrary<object>), (reads) => compare(format, reads)),
      { seed: 33, numRuns: 800 },
    );
});

const say = (content: string): string =>
  `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;

test("an event that repeats another is not read as JSON", () => {
  const meter = openaiFormat.meter();
  let reads = 0;
  const read = meter.read.bind(meter);
  meter.read = (data) => (reads++, read(data));
  const reader = new EventReader(meter, null);
  reader.read(Buffer.from(["one", "two", "drei\u00df"].map(say).join("")));
  reader.read(Buffer.from(say("four")));
  assert.equal(reads, 1);
  assert.equal(meter.outputBytesSeen, Buffer.byteLength("onetwodrei\u00dffour"));
  // With an escape, or with another value beside the text, it is another event.
  reader.read(Buffer.from(say("five\n") + say("six").replace("null", '"stop"')));
  assert.equal(reads, 3);
});

test("bytes that are no UTF-8 are counted as a reader of them shows them", () => {
  const [before = "", after = ""] = say("MARK").split("MARK");
  const bytes = (...middle: number[]): Buffer =>
    Buffer.concat([Buffer.from(before), Buffer.from(middle), Buffer.from(after)]);
  compare(openaiFormat, [Buffer.from(say("plain")), bytes(0x61, 0xff, 0x62), bytes(0xc3), bytes(0x00), bytes(0x7f)]);
});

test("a string that only looks like the text is not taken for it", () => {
  const event = (id: string, delta: object): Buffer =>
    Buffer.from(`data: ${JSON.stringify({ id, choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`);
  const call = { tool_calls: [{ index: 0, function: { name: "a", arguments: "b" } }] };
  compare(openaiFormat, [event("same", { content: "same" }), event("another", { content: "same" })]);
  compare(openaiFormat, [event("ab", call), event("another", call)]);
  const block = (type: string, id: string): Buffer =>
    Buffer.from(`data: ${JSON.stringify({ type, index: 0, id, delta: { text: "a", thinking: "b" } })}\n\n`);
  compare(anthropicFormat, [block("content_block_delta", "ab"), block("content_block_delta", "another")]);
});
