import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import { chatCallOf, isPlainCall } from "./openai.ts";

const call = { type: "function", id: "call_1", function: { name: "read", arguments: "{}" } };
const tool = {
  type: "function",
  function: { name: "read", description: "reads", parameters: { type: "object", properties: {} }, strict: null },
};
const text = { type: "text", text: "hello" };
/** Calls as clients make them, with every field that there is. */
const usual: readonly Json[] = [
  { model: "p/m", messages: [{ role: "user", content: "hello" }] },
  {
    ...{ model: "p/m", max_tokens: 100, n: 2, stream: true, stream_options: { include_usage: true } },
    messages: [
      { role: "system", content: "be good", name: "s" },
      { role: "assistant", content: null, refusal: null, tool_calls: [call, call] },
      { role: "tool", tool_call_id: "call_1", content: "text" },
      { role: "user", content: [text, text] },
    ],
    tools: [tool],
    tool_choice: { type: "function", function: { name: "read" } },
    ...{ parallel_tool_calls: false, response_format: { type: "json_object" }, temperature: 0.5, top_p: 1 },
    ...{ frequency_penalty: 0, presence_penalty: -1, seed: -7, reasoning_effort: "low", user: "u", store: false },
  },
  { model: "p/m", max_completion_tokens: limits.model.outputTokensMax, messages: [{ role: "developer" }] },
];

/** What may stand in the place of anything. */
const odd: readonly Json[] = [
  ...[null, true, false, 0, 1, -1, 0.5, 2 ** 53, Infinity, "", "x", "x".repeat(300), [], {}, [null], [[]]],
  ...[text, [text], [{ type: "text" }], [{ ...text, text: null }], [{ ...text, refusal: "no" }]],
  ...["user", "function", { role: "user" }, { type: "image_url", image_url: { url: "data:," } }, [call], call],
  { deep: [Infinity] },
];

/** One value somewhere in it is exchanged, taken away, or has company. */
function changed(value: Json, steps: readonly number[], other: Json): Json {
  const [step = 0, ...rest] = steps;
  if (value === null || typeof value !== "object" || steps.length === 0) return other;
  const keys = Object.keys(value);
  if (keys.length === 0) return other;
  const copy = structuredClone(value) as Record<string, Json>;
  const key = keys[step % keys.length] ?? "";
  if (step % 7 === 5 && !Array.isArray(value))
    return { ...copy, [["extra", "content", "strict", "name"][step % 4] ?? ""]: other };
  if (step % 11 === 3) {
    delete copy[key];
    return Array.isArray(value) ? Object.values(copy) : copy;
  }
  copy[key] = changed(copy[key] as Json, rest, other);
  return copy;
}

test("the usual calls need no schema", () => {
  for (const body of usual) {
    assert.ok(isPlainCall(body));
    assert.deepEqual(chatCallOf(body), { success: true, data: body });
  }
});

test("what is taken without the schema is what the schema takes, to the letter", () => {
  let plain = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...usual),
      fc.array(fc.nat(60), { minLength: 1, maxLength: 6 }),
      fc.oneof(fc.constantFrom(...odd), fc.jsonValue() as fc.Arbitrary<Json>),
      (body, steps, other) => {
        const changedBody = changed(body, steps, other);
        const schema = chatCallOf(changedBody);
        if (!schema.success) refused++;
        if (!isPlainCall(changedBody)) return;
        plain++;
        assert.deepEqual(schema, { success: true, data: changedBody });
      },
    ),
    { seed: 11, numRuns: 5_000 },
  );
  assert.ok(plain > 200 && refused > 1_000, `${plain} plain, ${refused} refused`);
});

test("content in parts is plain where each part is text and nothing else", () => {
  const asked = (content: Json): Json => ({ model: "p/m", messages: [{ role: "user", content }] });
  assert.ok(isPlainCall(asked([text])));
  const parts: readonly Json[] = [
    ...[null, "hello", {}, { type: "text" }, { text: "hello" }, { ...text, text: null }, { ...text, extra: "x" }],
    ...[
      { ...text, refusal: 1 },
      { ...text, type: "image_url" },
      { ...text, type: "input_audio" },
    ],
    { type: "image_url", image_url: { url: "data:," } },
  ];
  for (const part of parts) assert.ok(!isPlainCall(asked([text, part])), JSON.stringify(part));
});

test("a number that is no JSON is refused wherever it stands, also where only the provider reads it", () => {
  for (const infinite of [Infinity, { deep: [Infinity] }, [-Infinity]] as Json[]) {
    const body = { model: "p/m", messages: [{ role: "user", content: "hello" }], tool_choice: infinite };
    assert.ok(!isPlainCall(body));
    assert.ok(!chatCallOf(body).success);
  }
});
