import assert from "node:assert/strict";
import { test } from "node:test";
import { anthropic } from "./anthropic.ts";
import type { ModelAsk } from "./conversation.ts";
import { openai } from "./openai.ts";
import type { WireFormat } from "./wire-format.ts";

const ask: ModelAsk = {
  model: "m-1",
  instructions: "Be brief.",
  turns: [
    { role: "user", text: "hello" },
    { role: "assistant", text: "", calls: [{ id: "c1", name: "files_read", input: '{"path":"a.md"}' }] },
    { role: "tools", results: [{ id: "c1", name: "files_read", content: '{"error":{}}', failed: true }] },
    { role: "assistant", text: "done", calls: [] },
  ],
  tools: [{ name: "files_read", description: "Reads.", parameters: { type: "object" } }],
  outputTokensMax: 100,
};

test("an OpenAI request, literally", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(openai.body(ask))), {
    model: "m-1",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "hello" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "files_read", arguments: '{"path":"a.md"}' } }],
      },
      { role: "tool", tool_call_id: "c1", content: '{"error":{}}' },
      { role: "assistant", content: "done" },
    ],
    tools: [
      { type: "function", function: { name: "files_read", description: "Reads.", parameters: { type: "object" } } },
    ],
    max_completion_tokens: 100,
    stream: true,
    stream_options: { include_usage: true },
  });
});

test("an Anthropic request, literally", () => {
  assert.equal(anthropic.headers["anthropic-version"], "2023-06-01");
  assert.deepEqual(JSON.parse(JSON.stringify(anthropic.body(ask))), {
    model: "m-1",
    max_tokens: 100,
    system: "Be brief.",
    messages: [
      { role: "user", content: "hello" },
      { role: "assistant", content: [{ type: "tool_use", id: "c1", name: "files_read", input: { path: "a.md" } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "c1", content: '{"error":{}}', is_error: true }] },
      { role: "assistant", content: [{ type: "text", text: "done" }] },
    ],
    tools: [{ name: "files_read", description: "Reads.", input_schema: { type: "object" } }],
    stream: true,
  });
});

function read(format: WireFormat, events: readonly string[]): ReturnType<ReturnType<WireFormat["reader"]>["answer"]> {
  const reader = format.reader();
  for (const data of events) assert.equal(reader.take({ event: "message", data }), undefined);
  return reader.answer();
}

const openaiEvents = [
  '{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"content":"Let me "},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"content":"look."},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"files_read","arguments":""}}]},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"path\\":"}}]},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\"a\\"}"}}]},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"files_list","arguments":"{}"}}]},"finish_reason":null}]}',
  '{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
  '{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}',
  "[DONE]",
];

const anthropicEvents = [
  '{"type":"message_start","message":{"id":"m","role":"assistant","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}',
  '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
  '{"type":"ping"}',
  '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me "}}',
  '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"look."}}',
  '{"type":"content_block_stop","index":0}',
  '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"call_a","name":"files_read","input":{}}}',
  '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"path\\":"}}',
  '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\\"a\\"}"}}',
  '{"type":"content_block_stop","index":1}',
  '{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_b","name":"files_list","input":{}}}',
  '{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}',
  '{"type":"content_block_stop","index":2}',
  '{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}',
  '{"type":"message_stop"}',
];

test("both formats read the same answer", () => {
  const answer = {
    text: "Let me look.",
    calls: [
      { id: "call_a", name: "files_read", input: '{"path":"a"}' },
      { id: "call_b", name: "files_list", input: "{}" },
    ],
    cut: false,
  };
  assert.deepEqual(read(openai, openaiEvents), answer);
  assert.deepEqual(read(anthropic, anthropicEvents), answer);
});

test("an answer that broke off is none; one cut by its limit says so", () => {
  assert.equal(read(openai, openaiEvents.slice(0, 7)), undefined);
  assert.equal(read(anthropic, anthropicEvents.slice(0, -1)), undefined);
  assert.equal(read(openai, ['{"choices":[{"delta":{"content":"a"},"finish_reason":"length"}]}'])?.cut, true);
  const cut = ['{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}', '{"type":"message_stop"}'];
  assert.equal(read(anthropic, cut)?.cut, true);
});

test("an error inside a stream is a refusal with our code", () => {
  const late = openai
    .reader()
    .take({ event: "message", data: '{"error":{"message":"cap reached","type":"x","code":"budget_exhausted"}}' });
  assert.deepEqual(late, { code: "budget_exhausted", reason: "cap reached", remedy: "" });
  const other = anthropic
    .reader()
    .take({ event: "error", data: '{"type":"error","error":{"type":"budget_exhausted","message":"cap reached"}}' });
  assert.deepEqual(other, { code: "budget_exhausted", reason: "cap reached", remedy: "" });
  assert.equal(openai.reader().take({ event: "message", data: "{nonsense" })?.code, "upstream_failed");
});

test("an endless answer, and one with endless calls, end", () => {
  const reader = openai.reader();
  const data = JSON.stringify({ choices: [{ delta: { content: "x".repeat(100_000) } }] });
  const faults = Array.from({ length: 12 }, () => reader.take({ event: "message", data })?.code);
  assert.equal(faults.at(-1), "too_large");
  const many = anthropic.reader();
  const codes = Array.from({ length: 65 }, (_, index) => {
    const block = {
      type: "content_block_start",
      index,
      content_block: { type: "tool_use", id: `c${index}`, name: "t" },
    };
    return many.take({ event: "message", data: JSON.stringify(block) })?.code;
  });
  assert.equal(codes[63], undefined);
  assert.equal(codes[64], "too_large");
});
