/** The meters read by hand what schemas describe: on whatever a provider sends, both must count the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import type { Json } from "../../../lib/json.ts";
import { anthropicFormat } from "./anthropic.ts";
import { openaiFormat } from "./openai.ts";
import { tokensFromBytes } from "./parts.ts";

const generated = z.string().nullish().catch(null);
const count = z.int().min(0).nullish().catch(null);

const OpenaiPart = z.object({
  ...{ content: generated, refusal: generated, reasoning_content: generated },
  tool_calls: z
    .array(
      z
        .object({ function: z.object({ name: generated, arguments: generated }).nullish().catch(null) })
        .catch({ function: null }),
    )
    .nullish()
    .catch(null),
});
const OpenaiEvent = z.object({
  choices: z
    .array(z.object({ delta: OpenaiPart.nullish().catch(null), message: OpenaiPart.nullish().catch(null) }).catch({}))
    .catch([]),
  usage: z
    .object({ prompt_tokens: z.int().min(0), completion_tokens: z.int().min(0) })
    .nullish()
    .catch(null),
});
const AnthropicEvent = z.object({
  delta: z.object({ text: generated, partial_json: generated, thinking: generated }).nullish().catch(null),
  usage: z.object({ input_tokens: count, output_tokens: count }).nullish().catch(null),
});

const junk = fc.constantFrom<Json>(null, 0, -1, 1.5, true, "x", [], {}, [null]);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme", maxLength: 9 }) },
  { weight: 1, arbitrary: junk },
);
const number = fc.oneof({ weight: 3, arbitrary: fc.nat(1_000) }, { weight: 1, arbitrary: junk });
const optional = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(fields, { requiredKeys: [] });
const or = (arbitrary: fc.Arbitrary<unknown>) => fc.oneof({ weight: 6, arbitrary }, { weight: 1, arbitrary: junk });

const part = optional({
  ...{ content: text, refusal: text, reasoning_content: text },
  tool_calls: or(
    fc.array(or(optional({ index: number, function: or(optional({ name: text, arguments: text })) })), {
      maxLength: 3,
    }),
  ),
});
const openaiEvent = or(
  optional({
    ...{ id: text, model: text, created: number },
    choices: or(fc.array(or(optional({ index: number, delta: or(part), finish_reason: text })), { maxLength: 3 })),
    usage: or(optional({ prompt_tokens: number, completion_tokens: number })),
  }),
);
const anthropicEvent = or(
  optional({
    type: fc.constantFrom("message_start", "content_block_delta", "message_delta", "ping"),
    index: number,
    delta: or(optional({ text, partial_json: text, thinking: text })),
    usage: or(optional({ input_tokens: number, output_tokens: number })),
  }),
);

test("chat completions: text, its bytes and the report", () => {
  fc.assert(
    fc.property(fc.array(openaiEvent, { maxLength: 6 }), (events) => {
      const meter = openaiFormat.meter();
      let [bytes, tokens] = [0, 0];
      let reported: number | undefined;
      for (const event of events as Json[]) {
        const read = meter.read(event).map((each) => each.text);
        const seen = OpenaiEvent.catch({ choices: [] }).parse(event);
        const wanted = seen.choices.flatMap(({ delta, message }) => {
          const { content, refusal, reasoning_content: reasoning, tool_calls: calls } = delta ?? message ?? {};
          const called = (calls ?? []).map((call) => `${call.function?.name ?? ""}${call.function?.arguments ?? ""}`);
          return [content ?? "", refusal ?? "", reasoning ?? "", ...called].filter((each) => each !== "");
        });
        assert.deepEqual(read, wanted);
        for (const each of wanted) {
          bytes += Buffer.byteLength(each);
          tokens += tokensFromBytes(Buffer.byteLength(each));
        }
        reported = seen.usage?.completion_tokens ?? reported;
      }
      assert.deepEqual([meter.outputBytesSeen, meter.outputTokensSeen], [bytes, tokens]);
      assert.equal(meter.usage?.outputTokens, reported);
    }),
    { seed: 63, numRuns: 3_000 },
  );
});

test("messages: text, its bytes and the highest report", () => {
  fc.assert(
    fc.property(fc.array(anthropicEvent, { maxLength: 6 }), (events) => {
      const meter = anthropicFormat.meter();
      let bytes = 0;
      let reported: number | undefined;
      for (const event of events as Json[]) {
        const read = meter.read(event).map((each) => each.text);
        const { delta, usage } = AnthropicEvent.catch({}).parse(event);
        const wanted = `${delta?.text ?? ""}${delta?.partial_json ?? ""}${delta?.thinking ?? ""}`;
        assert.equal(read.join(""), wanted);
        bytes += Buffer.byteLength(wanted);
        if (typeof usage?.input_tokens === "number" || typeof usage?.output_tokens === "number")
          reported = Math.max(reported ?? 0, usage.output_tokens ?? 0);
      }
      assert.equal(meter.outputBytesSeen, bytes);
      assert.equal(meter.usage?.outputTokens, reported);
    }),
    { seed: 64, numRuns: 3_000 },
  );
});
