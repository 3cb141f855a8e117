import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import { openaiFormat } from "./openai.ts";

const HELLO = { model: "openai/gpt-x", messages: [{ role: "user", content: "hi" }] };
const codeOf = (body: Json): string => {
  const parsed = openaiFormat.parse(body, 100);
  return parsed.ok ? "ok" : parsed.error.code;
};
const sent = (body: Json, provider = "own", tokens = 50): Json => {
  const parsed = openaiFormat.parse(body, 100);
  assert.ok(parsed.ok);
  return JSON.parse(parsed.value.body("gpt-x", tokens, provider).toString()) as Json;
};

test("a call is understood: model, bound, answers, stream, and an upper bound of its prompt", () => {
  const { body: _, ...call } = (
    openaiFormat.parse({ ...HELLO, n: 3, max_tokens: 9, stream: true }, 100) as { value: object }
  ).value as Record<string, unknown>;
  assert.deepEqual(call, {
    ...{ model: "openai/gpt-x", stream: true, choices: 3, outputTokens: 9, inputTokensMax: 100 },
    ...{ images: [], tools: 0, temperature: null },
  });
  const tools = openaiFormat.parse({ ...HELLO, tools: [] }, 100);
  assert.ok(
    tools.ok &&
      tools.value.inputTokensMax === 100 + limits.model.toolPreambleTokensMax &&
      tools.value.outputTokens === null,
  );
});

test("the body keeps everything, and sets the model, the bound and the report of usage", () => {
  const full = {
    messages: [
      { role: "system", content: [{ type: "text", text: "be brief" }] },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: "done" },
    ],
    tools: [
      {
        type: "function",
        function: { name: "f", description: "d", parameters: { type: "object", x: [1, null] }, strict: true },
      },
    ],
    ...{
      tool_choice: "auto",
      parallel_tool_calls: false,
      response_format: { type: "json_object" },
      temperature: 0.5,
      top_p: 1,
    },
    ...{ frequency_penalty: 0, presence_penalty: 0, stop: ["x"], seed: 1, reasoning_effort: "low", user: "u", n: 2 },
  };
  const stream = { stream: true, stream_options: { include_usage: false } };
  assert.deepEqual(sent({ ...full, ...stream, model: "own/gpt-x", max_tokens: 9 }), {
    ...full,
    ...{ model: "gpt-x", max_tokens: 50, stream: true, stream_options: { include_usage: true } },
  });
  assert.deepEqual(sent({ ...full, model: "own/gpt-x" }), { ...full, model: "gpt-x", max_tokens: 50 });
});

test("the bound goes by the name that the caller used, else by the one that the provider knows", () => {
  const names = (body: object, provider: string) =>
    Object.keys(sent({ ...HELLO, ...body }, provider) as object).filter((key) => key.startsWith("max"));
  assert.deepEqual(names({}, "openai"), ["max_completion_tokens"]);
  assert.deepEqual(names({}, "groq"), ["max_tokens"]);
  assert.deepEqual(names({ max_tokens: 5 }, "openai"), ["max_tokens"]);
  assert.deepEqual(names({ max_completion_tokens: 5 }, "groq"), ["max_completion_tokens"]);
});

test("what is not understood is refused", () => {
  for (const [more, code] of [
    [{ max_tokens: 5, max_completion_tokens: 5 }, "malformed"],
    ...[0, limits.model.choicesMax + 1, 1.5, "1"].map((n) => [{ n }, "malformed"] as const),
    ...[0, -1, 1.5, limits.model.outputTokensMax + 1, null, "5"].map(
      (max_tokens) => [{ max_tokens }, "malformed"] as const,
    ),
    [{ messages: [] }, "malformed"],
    [
      { messages: Array.from({ length: limits.model.messagesMax + 1 }, () => ({ role: "user", content: "" })) },
      "malformed",
    ],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://x/y.png" } }] }] },
      "unsupported",
    ],
    [{ messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] }, "malformed"],
    [{ messages: [{ role: "root", content: "" }] }, "malformed"],
    [{ tools: [{ type: "web_search" }] }, "malformed"],
    [{ store: true }, "malformed"],
    [
      {
        tools: Array.from({ length: limits.model.toolsMax + 1 }, () => ({ type: "function", function: { name: "f" } })),
      },
      "malformed",
    ],
    ...[
      "service_tier",
      "audio",
      "modalities",
      "web_search_options",
      "prediction",
      "logprobs",
      "best_of",
      "functions",
    ].map((key) => [{ [key]: 1 }, "unsupported"] as const),
    [{ stream_options: { include_usage: true, x: 1 } }, "unsupported"],
    [{ messages: [{ role: "user", content: "", audio: {} }] }, "unsupported"],
  ] as const) {
    assert.equal(codeOf({ ...HELLO, ...more }), code, JSON.stringify(more).slice(0, 80));
  }
  for (const body of [null, [], "x", {}]) assert.equal(codeOf(body), "malformed");
});

const chunk = (fields: object): Json => ({
  id: "c1",
  object: "chat.completion.chunk",
  created: 5,
  model: "m",
  ...fields,
});
const delta = (index: number, part: object, finish: string | null = null): Json =>
  chunk({ choices: [{ index, delta: part, finish_reason: finish }] });

test("meter: a stream of text with its report at the end", () => {
  const meter = openaiFormat.meter();
  assert.deepEqual(meter.read(delta(0, { role: "assistant", content: "" })), []);
  assert.deepEqual(meter.read(delta(0, { content: "Hé" })), [{ channel: 0, text: "Hé" }]);
  assert.equal(meter.complete, false);
  meter.read(delta(0, {}, "stop"));
  assert.deepEqual([meter.complete, meter.usage, meter.outputTokensSeen, meter.outputBytesSeen], [true, null, 1, 3]);
  meter.read(
    chunk({
      choices: [],
      usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9, prompt_tokens_details: { cached_tokens: 3 } },
    }),
  );
  assert.deepEqual(meter.usage, { inputTokens: 4, cacheReadTokens: 3, cacheWriteTokens: 0, outputTokens: 2 });
  meter.read(chunk({ choices: [] }));
  assert.deepEqual(
    [meter.complete, meter.usage],
    [true, { inputTokens: 4, cacheReadTokens: 3, cacheWriteTokens: 0, outputTokens: 2 }],
  );
});

test("meter: a stream without a report reports nothing", () => {
  const meter = openaiFormat.meter();
  for (const usage of [null, {}, { prompt_tokens: -1, completion_tokens: 2 }, { prompt_tokens: 1 }])
    meter.read(chunk({ choices: [], usage }));
  assert.equal(meter.usage, null);
  assert.equal(meter.complete, false);
});

test("meter: several answers at once, each with channels of its own for text, reasoning and every tool call", () => {
  const meter = openaiFormat.meter();
  const call = (index: number, args: string, name?: string): object => ({
    tool_calls: [{ index, function: { ...(name ? { name } : {}), arguments: args } }],
  });
  const read = [
    delta(0, { content: "a" }),
    delta(0, { reasoning_content: "a" }),
    delta(0, { refusal: "a" }),
    delta(0, call(0, "{", "f")),
    delta(0, call(1, "{", "g")),
    delta(0, call(0, "}")),
    delta(1, { content: "b" }),
    delta(1, call(0, "{}", "f")),
  ].flatMap((data) => meter.read(data));
  const channels = read.map(({ channel }) => channel);
  assert.equal(new Set(channels).size, 7);
  assert.equal(channels[3], channels[5]);
  assert.equal(read.map(({ text }) => text).join(""), "aaaf{g{}bf{}");
  meter.read(delta(0, {}, "tool_calls"));
  assert.equal(meter.complete, false);
  meter.read(delta(1, {}, "stop"));
  assert.equal(meter.complete, true);
});

test("meter: a plain answer is one event", () => {
  const meter = openaiFormat.meter();
  const read = meter.read({
    id: "c1",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: "hello",
          tool_calls: [{ id: "x", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        finish_reason: "stop",
      },
    ],
    usage: { prompt_tokens: 3, completion_tokens: 4 },
  });
  assert.deepEqual(
    read.map(({ text }) => text),
    ["hello", "f{}"],
  );
  assert.deepEqual(
    [meter.complete, meter.usage],
    [true, { inputTokens: 3, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 4 }],
  );
});

test("meter: anything may come, nothing is thrown, and a long delta counts for more than one token", () => {
  const meter = openaiFormat.meter();
  for (const data of [
    null,
    1,
    "x",
    [],
    {},
    { choices: 1 },
    { choices: [{}] },
    { choices: [{ index: -1, delta: { content: 5 } }] },
    { error: { message: "x" } },
  ])
    assert.deepEqual(meter.read(data as Json), []);
  meter.read(delta(0, { content: "x".repeat(1_000), refusal: 5, tool_calls: [{ function: "x" }, 1] }));
  assert.deepEqual([meter.outputTokensSeen, meter.outputBytesSeen], [8, 1_000]);
});

/** Reads a stream as strictly as a client library could. */
function readStrictly(text: string): Json[] {
  assert.ok(text.endsWith("data: [DONE]\n\n"));
  const events = text
    .split("\n\n")
    .slice(0, -1)
    .filter((event) => !event.startsWith(":"));
  const data = events.map((event) => /^data: (.+)$/.exec(event)?.[1] ?? assert.fail(event));
  assert.equal(data.pop(), "[DONE]");
  return data.map((json) => JSON.parse(json) as Json);
}

test("an ending closes what the agent has seen open, in the same stream's name, and nothing else", () => {
  const meter = openaiFormat.meter();
  const finish = (index: number): Json => ({
    id: "c1",
    model: "m",
    created: 5,
    object: "chat.completion.chunk",
    choices: [{ index, delta: {}, finish_reason: "length" }],
  });
  assert.equal(readStrictly(meter.ending("x")).length, 1);
  meter.read(delta(0, { content: "a" }));
  meter.read(delta(1, { content: "a" }));
  meter.passed();
  assert.deepEqual(readStrictly(meter.ending("reservation_used_up")), [finish(0), finish(1)]);
  meter.read(delta(0, {}, "stop"));
  meter.read(delta(2, { content: "never passed on" }));
  assert.deepEqual(readStrictly(meter.ending("x")), [finish(0), finish(1)]);
  meter.passed();
  assert.deepEqual(readStrictly(meter.ending("x")), [finish(1), finish(2)]);
  assert.match(meter.ending("reservation_used_up"), /^: cordon reservation_used_up\n\n/);
});

test("the credential and the refusal, as this format writes them", () => {
  assert.deepEqual(openaiFormat.authorization("KEY"), ["authorization", "Bearer KEY"]);
  assert.deepEqual(openaiFormat.headers({ "anthropic-version": "2020-01-01" }), {});
  assert.deepEqual(JSON.parse(openaiFormat.refusalBody({ code: "denied", reason: "no", remedy: "ask" })), {
    error: { message: "cordon: no (ask)", type: "cordon_refusal", param: null, code: "denied" },
  });
});
