import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { answerTo, type Answer } from "./answer.ts";
import type { ModelRequest } from "./conversation.ts";
import { hearAnthropic, hearAnthropicStream, hearOpenAi, hearOpenAiStream } from "./testing/streams.ts";
import { tokensOf } from "./tokens.ts";
import { anthropic } from "./wire/anthropic.ts";
import { openAi } from "./wire/openai.ts";

const request: ModelRequest = {
  model: "echo",
  conversation: { system: "", entries: [{ role: "user", text: "hi" }], tools: [] },
  maxTokens: undefined,
  stop: [],
  choices: 1,
  callsMax: 64,
  stream: false,
  usageInStream: true,
  inputTokens: 5,
};
const source = { seed: "s", createdS: 1, wordByWord: false };
const say = (text: string, more: Partial<ModelRequest> = {}): Answer =>
  answerTo({ ...request, ...more }, { text, calls: [] }, source);

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 200 }),
  fc.lorem({ maxCount: 60 }),
  fc.constantFrom("", " ", "\n\n", "data: x\n\nevent: y"),
);
const utterance = fc.record({
  text,
  calls: fc.array(
    fc.record({
      name: fc.constantFrom("files_read", "t"),
      arguments: fc.dictionary(fc.string(), text).map((value) => JSON.stringify(value)),
    }),
    { maxLength: 3 },
  ),
});

test("streamed or not, in either format, an answer says the same (property)", () => {
  fc.assert(
    fc.property(
      utterance,
      fc.option(fc.integer({ min: 1, max: 120 }), { nil: undefined }),
      fc.boolean(),
      fc.integer({ min: 1, max: 3 }),
      (said, maxTokens, wordByWord, choices) => {
        const asked = { ...request, maxTokens, choices };
        const answer = answerTo(asked, said, { ...source, wordByWord });
        const whole = answer.calls.every((call) => isJson(call.arguments));
        const one = { ...asked, choices: 1 };
        const heardOpenAi = hearOpenAi(JSON.stringify(openAi.write(answer, asked)), choices - 1);
        assert.deepEqual(hearOpenAiStream([...openAi.events(answer, asked)].join(""), choices - 1), heardOpenAi);
        const heardAnthropic = hearAnthropicStream([...anthropic.events(answer, one)].join(""));
        if (whole)
          assert.deepEqual(
            canonical(hearAnthropic(JSON.stringify(anthropic.write(answer, one)))),
            canonical(heardAnthropic),
          );
        assert.equal(heardOpenAi.text, answer.text);
        assert.equal(heardAnthropic.text, answer.text);
        assert.deepEqual(
          heardAnthropic.calls.map((call) => call.arguments),
          heardOpenAi.calls.map((call) => call.arguments),
        );
        assert.equal(heardOpenAi.outputTokens, (heardAnthropic.outputTokens ?? 0) * choices);
      },
    ),
    { seed: 20_261_122, numRuns: 400 },
  );
});

test("an answer never passes its bound, counts by the rule, and says when it was cut (property)", () => {
  fc.assert(
    fc.property(utterance, fc.integer({ min: 1, max: 60 }), (said, maxTokens) => {
      const answer = answerTo({ ...request, maxTokens }, said, source);
      const bytes =
        Buffer.byteLength(answer.text) +
        answer.calls.reduce((sum, call) => sum + Buffer.byteLength(call.name + call.arguments), 0);
      assert.ok(answer.outputTokens <= maxTokens);
      assert.equal(answer.outputTokens, tokensOf(bytes));
      assert.ok(said.text.startsWith(answer.text));
      const cut =
        answer.text !== said.text ||
        JSON.stringify(answer.calls.map((c) => [c.name, c.arguments])) !==
          JSON.stringify(said.calls.map((c) => [c.name, c.arguments]));
      assert.equal(answer.finish.type === "length", cut);
    }),
    { seed: 20_261_122, numRuns: 400 },
  );
});

test("the input never counts more tokens than the request has bytes (property)", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 300 }),
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 20 }),
      (content, numbers) => {
        const tools = [{ type: "function", function: { name: "t", parameters: { enum: numbers } } }];
        const body = JSON.stringify({ model: "echo", messages: [{ role: "user", content }], tools });
        const bytes = Buffer.byteLength(body);
        const read = openAi.read(JSON.parse(body), bytes);
        assert.ok(read.ok && read.value.inputTokens <= bytes && read.value.inputTokens > 0);
      },
    ),
    { seed: 20_261_122, numRuns: 200 },
  );
});

test("the rule, in numbers; and not even numbers that grow when they are written out count above their bytes", () => {
  assert.deepEqual([0, 1, 4, 5, 8, 9].map(tokensOf), [0, 1, 1, 2, 2, 3]);
  const growing = Array.from({ length: 3_000 }, () => "1e20").join(",");
  const body = `{"model":"echo","messages":[{"role":"user","content":""}],"tools":[{"type":"function","function":{"name":"t","parameters":{"enum":[${growing}]}}}]}`;
  const read = openAi.read(JSON.parse(body), body.length);
  assert.ok(read.ok);
  assert.equal(read.value.inputTokens, body.length);
});

test("the first of several stop sequences ends the text before it", () => {
  assert.deepEqual(pick(say("one two three", { stop: ["three", "two"] })), {
    text: "one ",
    finish: { type: "stop", sequence: "two" },
  });
  assert.equal(say("one two three", { stop: ["two", "three"] }).text, "one ");
  assert.deepEqual(pick(say("one two", { stop: ["x", ""] })), { text: "one two", finish: { type: "end" } });
  assert.deepEqual(pick(say("one two three", { stop: ["three"], maxTokens: 1 })), {
    text: "one ",
    finish: { type: "length" },
  });
});

test("a bound splits no character", () => {
  assert.equal(say("日本語", { maxTokens: 1 }).text, "日");
  assert.equal(say("🙂🙂", { maxTokens: 1 }).text, "🙂");
});

test("ids: the same for the same conversation, others for a longer one, no two calls alike", () => {
  const calls = [
    { name: "t", arguments: "{}" },
    { name: "t", arguments: "{}" },
  ];
  const first = answerTo(request, { text: "", calls }, source);
  assert.deepEqual(first, answerTo({ ...request, stream: true, maxTokens: 500 }, { text: "", calls }, source));
  const entries = [...request.conversation.entries, { role: "user", text: "more" } as const];
  const later = answerTo(
    { ...request, conversation: { ...request.conversation, entries } },
    { text: "", calls },
    source,
  );
  const ids = [...first.calls, ...later.calls].map((call) => call.id);
  assert.equal(new Set([...ids, first.id, later.id]).size, 6);
  assert.notEqual(answerTo(request, { text: "", calls }, { ...source, seed: "other" }).id, first.id);
});

const pick = ({ text, finish }: Answer): object => ({ text, finish });
const canonical = (heard: ReturnType<typeof hearAnthropic>): object => ({
  ...heard,
  calls: heard.calls.map((call) => ({ ...call, arguments: JSON.parse(call.arguments) })),
});
function isJson(value: string): boolean {
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}
