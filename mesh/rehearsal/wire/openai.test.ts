import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "../answer.ts";
import type { ModelRequest } from "../conversation.ts";
import { openAi } from "./openai.ts";

const base: Answer = {
  id: "0123456789abcdef01234567",
  model: "rehearsal/echo",
  createdS: 1_800_000_000,
  text: "Good morning",
  calls: [],
  finish: { type: "end" },
  inputTokens: 7,
  outputTokens: 3,
  usage: "told",
  wordByWord: true,
};
const calling: Answer = {
  ...base,
  text: "",
  calls: [
    { id: "aaaa", name: "files_read", arguments: '{"path":"a.txt"}' },
    { id: "bbbb", name: "files_list", arguments: "{}" },
  ],
  finish: { type: "calls" },
};

function requestOf(body: object): ModelRequest {
  const read = openAi.read({ model: "rehearsal/echo", messages: [{ role: "user", content: "hi" }], ...body }, 1_000);
  assert.ok(read.ok, JSON.stringify(read));
  return read.value;
}

test("a completion is, to the letter, what the API reference shows", () => {
  assert.equal(
    JSON.stringify(openAi.write(base, requestOf({}))),
    '{"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion","created":1800000000,"model":"rehearsal/echo",' +
      '"choices":[{"index":0,"message":{"role":"assistant","content":"Good morning","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],' +
      '"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},' +
      '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},' +
      '"service_tier":"default","system_fingerprint":"rehearsal"}',
  );
});

test("tool calls stand in the message, content is null beside them", () => {
  const written = openAi.write(calling, requestOf({})) as { choices: object[] };
  assert.deepEqual(written.choices[0], {
    index: 0,
    message: {
      role: "assistant",
      content: null,
      refusal: null,
      annotations: [],
      tool_calls: [
        { id: "call_aaaa", type: "function", function: { name: "files_read", arguments: '{"path":"a.txt"}' } },
        { id: "call_bbbb", type: "function", function: { name: "files_list", arguments: "{}" } },
      ],
    },
    logprobs: null,
    finish_reason: "tool_calls",
  });
});

const head =
  '"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion.chunk","created":1800000000,"model":"rehearsal/echo","service_tier":"default","system_fingerprint":"rehearsal"';

test("a stream is, frame by frame, what the API reference shows", () => {
  assert.deepEqual(
    [...openAi.events(base, requestOf({ stream: true, stream_options: { include_usage: true } }))],
    [
      `data: {${head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}\n\n`,
      `data: {${head},"choices":[{"index":0,"delta":{"content":"Good "},"logprobs":null,"finish_reason":null}],"usage":null}\n\n`,
      `data: {${head},"choices":[{"index":0,"delta":{"content":"morning"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n`,
      `data: {${head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}\n\n`,
      `data: {${head},"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},` +
        '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}\n\n',
      "data: [DONE]\n\n",
    ],
  );
});

test("streamed tool calls: id and name first, then the arguments in parts, by index; no usage unless asked", () => {
  const deltas = [...openAi.events(calling, requestOf({ stream: true }))].map((frame) =>
    frame === "data: [DONE]\n\n" ? "[DONE]" : JSON.parse(frame.slice(6)),
  );
  assert.deepEqual(
    deltas.map((chunk) => chunk.choices?.[0]?.delta ?? chunk),
    [
      { role: "assistant", content: null, refusal: null },
      {
        tool_calls: [{ index: 0, id: "call_aaaa", type: "function", function: { name: "files_read", arguments: "" } }],
      },
      { tool_calls: [{ index: 0, function: { arguments: '{"path":"a.txt"}' } }] },
      {
        tool_calls: [{ index: 1, id: "call_bbbb", type: "function", function: { name: "files_list", arguments: "" } }],
      },
      { tool_calls: [{ index: 1, function: { arguments: "{}" } }] },
      {},
      "[DONE]",
    ],
  );
  assert.ok(deltas.every((chunk) => chunk === "[DONE]" || !("usage" in chunk)));
});

test("n answers: each has its index and its own call ids, the output counts n times", () => {
  const written = openAi.write(calling, requestOf({ n: 2 })) as {
    choices: { index: number; message: { tool_calls: { id: string }[] } }[];
    usage: object;
  };
  assert.deepEqual(
    written.choices.map((choice) => [choice.index, choice.message.tool_calls[0]?.id]),
    [
      [0, "call_aaaa"],
      [1, "call_aaaa_1"],
    ],
  );
  assert.deepEqual(
    { ...written.usage, prompt_tokens_details: 0, completion_tokens_details: 0 },
    {
      prompt_tokens: 7,
      completion_tokens: 6,
      total_tokens: 13,
      prompt_tokens_details: 0,
      completion_tokens_details: 0,
    },
  );
});

test("a request is read into the neutral form", () => {
  const request = requestOf({
    messages: [
      { role: "system", content: "Be brief." },
      { role: "developer", content: [{ type: "text", text: "Be kind." }] },
      { role: "user", content: [{ type: "text", text: "Hello" }] },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "t", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: "done" },
    ],
    tools: [{ type: "function", function: { name: "t", parameters: { type: "object" } } }],
    max_tokens: 50,
    max_completion_tokens: 20,
    stop: "END",
    unknown_to_us: true,
  });
  assert.deepEqual(request.conversation, {
    system: "Be brief.\n\nBe kind.",
    entries: [
      { role: "user", text: "Hello" },
      { role: "assistant", text: "", calls: [{ id: "c1", name: "t", arguments: "{}" }] },
      { role: "result", callId: "c1", text: "done" },
    ],
    tools: ["t"],
  });
  assert.equal(request.model, "echo");
  assert.equal(request.maxTokens, 20);
  assert.deepEqual(request.stop, ["END"]);
  assert.equal(requestOf({ max_tokens: 50 }).maxTokens, 50);
  assert.deepEqual(
    requestOf({ tool_choice: "none", tools: [{ type: "function", function: { name: "t" } }] }).conversation.tools,
    [],
  );
  assert.equal(requestOf({ parallel_tool_calls: false }).callsMax, 1);
});

test("conversations that a provider would refuse are refused", () => {
  const call = { id: "c1", type: "function", function: { name: "t", arguments: "{}" } };
  const user = { role: "user", content: "x" };
  const bad: [object, RegExp][] = [
    [{ messages: [] }, /^messages: /],
    [
      { messages: [user, { role: "tool", tool_call_id: "c1", content: "" }] },
      /does not follow a message with that call/,
    ],
    [
      { messages: [user, { role: "assistant", content: null, tool_calls: [call] }] },
      /`c1` is not followed by its result/,
    ],
    [
      { messages: [user, { role: "assistant", content: null, tool_calls: [call] }, user] },
      /`c1` is not followed by its result/,
    ],
    [{ messages: [{ role: "narrator", content: "x" }] }, /^messages.0/],
    [{ max_tokens: 0 }, /^max_tokens/],
    [{ n: 9 }, /^n/],
    [{ model: "" }, /^model/],
  ];
  for (const [body, expected] of bad) {
    const read = openAi.read({ model: "echo", messages: [user], ...body }, 100);
    assert.ok(!read.ok, JSON.stringify(body));
    assert.match(read.error, expected);
  }
});

test("errors have the provider's form", () => {
  assert.deepEqual(openAi.error({ kind: "unauthenticated", message: "no" }), {
    error: { message: "no", type: "invalid_request_error", param: null, code: "invalid_api_key" },
  });
  assert.deepEqual(openAi.error({ kind: "rate_limited", message: "slow" }), {
    error: { message: "slow", type: "requests", param: null, code: "rate_limit_exceeded" },
  });
});
