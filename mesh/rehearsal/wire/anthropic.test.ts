import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "../answer.ts";
import type { ModelRequest } from "../conversation.ts";
import { anthropic } from "./anthropic.ts";

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
const call = { id: "aaaa", name: "files_read", arguments: '{"path":"a.txt"}' };

function requestOf(body: object): ModelRequest {
  const read = anthropic.read(
    { model: "echo", max_tokens: 100, messages: [{ role: "user", content: "hi" }], ...body },
    1_000,
  );
  assert.ok(read.ok, JSON.stringify(read));
  return read.value;
}

test("a message is, to the letter, what the API reference shows", () => {
  assert.equal(
    JSON.stringify(anthropic.write({ ...base, calls: [call], finish: { type: "calls" } }, requestOf({}))),
    '{"id":"msg_0123456789abcdef01234567","type":"message","role":"assistant","model":"rehearsal/echo","content":[{"type":"text","text":"Good morning"},' +
      '{"type":"tool_use","id":"toolu_aaaa","name":"files_read","input":{"path":"a.txt"}}],"stop_reason":"tool_use","stop_sequence":null,' +
      '"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3}}',
  );
});

test("why it stopped", () => {
  const ends: [Answer["finish"], string, string | null][] = [
    [{ type: "end" }, "end_turn", null],
    [{ type: "length" }, "max_tokens", null],
    [{ type: "stop", sequence: "END" }, "stop_sequence", "END"],
    [{ type: "calls" }, "tool_use", null],
  ];
  for (const [finish, reason, sequence] of ends) {
    const written = anthropic.write({ ...base, finish }, requestOf({})) as {
      stop_reason: string;
      stop_sequence: string | null;
    };
    assert.deepEqual([written.stop_reason, written.stop_sequence], [reason, sequence]);
  }
});

test("a stream is, frame by frame, what the API reference shows", () => {
  const usage = '"cache_creation_input_tokens":0,"cache_read_input_tokens":0';
  assert.deepEqual(
    [...anthropic.events({ ...base, calls: [call], finish: { type: "calls" } }, requestOf({ stream: true }))],
    [
      'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_0123456789abcdef01234567","type":"message","role":"assistant","model":"rehearsal/echo",' +
        `"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,${usage},"output_tokens":1}}}\n\n`,
      'event: ping\ndata: {"type":"ping"}\n\n',
      'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Good "}}\n\n',
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"morning"}}\n\n',
      'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
      'event: content_block_start\ndata: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_aaaa","name":"files_read","input":{}}}\n\n',
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}\n\n',
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"path\\":\\"a.txt\\"}"}}\n\n',
      'event: content_block_stop\ndata: {"type":"content_block_stop","index":1}\n\n',
      `event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":7,${usage},"output_tokens":3}}\n\n`,
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ],
  );
});

test("a request is read into the neutral form", () => {
  const request = requestOf({
    model: "rehearsal/newsroom",
    system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
    messages: [
      { role: "user", content: "Hello" },
      {
        role: "assistant",
        content: [
          { type: "text", text: "Let me see." },
          { type: "tool_use", id: "c1", name: "t", input: { a: 1 } },
        ],
      },
      {
        role: "user",
        content: [{ type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "no" }], is_error: true }],
      },
      { role: "assistant", content: "I see." },
      { role: "user", content: [{ type: "text", text: "And now?" }] },
    ],
    tools: [{ name: "t", input_schema: { type: "object" } }],
    stop_sequences: ["END"],
    tool_choice: { type: "auto", disable_parallel_tool_use: true },
  });
  assert.equal(request.model, "newsroom");
  assert.deepEqual(request.conversation, {
    system: "Be brief.",
    entries: [
      { role: "user", text: "Hello" },
      { role: "assistant", text: "Let me see.", calls: [{ id: "c1", name: "t", arguments: '{"a":1}' }] },
      { role: "result", callId: "c1", text: "no" },
      { role: "assistant", text: "I see.", calls: [] },
      { role: "user", text: "And now?" },
    ],
    tools: ["t"],
  });
  assert.deepEqual([request.maxTokens, request.stop, request.callsMax], [100, ["END"], 1]);
  assert.deepEqual(
    requestOf({ tool_choice: { type: "none" }, tools: [{ name: "t", input_schema: {} }] }).conversation.tools,
    [],
  );
});

test("what the provider would refuse is refused", () => {
  const user = { role: "user", content: "x" };
  const bad: [object, RegExp][] = [
    [{ max_tokens: undefined }, /^max_tokens/],
    [{ messages: [{ role: "system", content: "x" }] }, /^messages.0/],
    [
      { messages: [user, { role: "assistant", content: [{ type: "tool_use", id: "c", name: "t", input: {} }] }, user] },
      /`c` is not followed/,
    ],
    [{ messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "c" }] }] }, /does not follow/],
    [{ tools: [{ name: "with space", input_schema: {} }] }, /^tools.0.name/],
  ];
  for (const [body, expected] of bad) {
    const read = anthropic.read({ model: "echo", max_tokens: 1, messages: [user], ...body }, 100);
    assert.ok(!read.ok, JSON.stringify(body));
    assert.match(read.error, expected);
  }
});

test("errors have the provider's form", () => {
  assert.deepEqual(anthropic.error({ kind: "overloaded", message: "later" }), {
    type: "error",
    error: { type: "overloaded_error", message: "later" },
  });
  assert.deepEqual(anthropic.error({ kind: "unauthenticated", message: "no" }), {
    type: "error",
    error: { type: "authentication_error", message: "no" },
  });
});
