import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import { anthropicFormat } from "./anthropic.ts";

const HELLO = { model: "anthropic/claude-x", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
const codeOf = (body: Json): string => {
  const parsed = anthropicFormat.parse(body, 100);
  return parsed.ok ? "ok" : parsed.error.code;
};

test("a call is understood, and its body keeps everything but the model and the bound", () => {
  const cache = { cache_control: { type: "ephemeral", ttl: "1h" } };
  const full = {
    system: [{ type: "text", text: "be brief", ...cache }],
    messages: [
      { role: "user", content: [{ type: "text", text: "hi" }] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "t", signature: "s" },
          { type: "redacted_thinking", data: "d" },
          { type: "tool_use", id: "t1", name: "f", input: { a: [1, null] } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "x" }], is_error: false, ...cache },
        ],
      },
    ],
    tools: [{ name: "f", description: "d", input_schema: { type: "object" }, type: "custom", ...cache }],
    ...{ stream: true, temperature: 1, top_p: 0.5, top_k: 3, stop_sequences: ["x"], tool_choice: { type: "auto" } },
    ...{ thinking: { type: "enabled", budget_tokens: 1024 }, metadata: { user_id: "u" } },
  };
  const parsed = anthropicFormat.parse({ ...full, model: "anthropic/claude-x", max_tokens: 9 }, 100);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { body, ...call } = parsed.value;
  assert.deepEqual(call, {
    model: "anthropic/claude-x",
    stream: true,
    choices: 1,
    outputTokens: 9,
    inputTokensMax: 100 + limits.model.toolPreambleTokensMax,
    ...{ images: [], tools: 1, temperature: 1 },
  });
  assert.deepEqual(JSON.parse(body("claude-x", 5, "anthropic").toString()), {
    ...full,
    model: "claude-x",
    max_tokens: 5,
  });
});

test("what is not understood is refused", () => {
  const block = (content: unknown) => ({ messages: [{ role: "user", content: [content] }] });
  for (const [more, code] of [
    ...[undefined, 0, -1, 1.5, "5", limits.model.outputTokensMax + 1].map(
      (max_tokens) => [{ max_tokens }, "malformed"] as const,
    ),
    [block({ type: "image", source: { type: "url", url: "https://x/y.png" } }), "malformed"],
    [block({ type: "document", source: {} }), "malformed"],
    [block({ type: "server_tool_use", id: "x", name: "web_search", input: {} }), "malformed"],
    [block({ type: "text", text: "x", extra: 1 }), "unsupported"],
    [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, "malformed"],
    [{ messages: [{ role: "system", content: "x" }] }, "malformed"],
    [{ messages: [] }, "malformed"],
    ...["service_tier", "container", "mcp_servers", "context_management", "n"].map(
      (key) => [{ [key]: 1 }, "unsupported"] as const,
    ),
  ] as const) {
    assert.equal(codeOf({ ...HELLO, ...more } as Json), code, JSON.stringify(more));
  }
  for (const body of [null, [], "x", {}]) assert.equal(codeOf(body), "malformed");
});

const START = {
  type: "message_start",
  message: {
    id: "m1",
    type: "message",
    role: "assistant",
    content: [],
    usage: { input_tokens: 10, cache_creation_input_tokens: 2, cache_read_input_tokens: 3, output_tokens: 1 },
  },
};
const open = (index: number): Json => ({
  type: "content_block_start",
  index,
  content_block: { type: "text", text: "" },
});
const text = (index: number, text: string): Json => ({
  type: "content_block_delta",
  index,
  delta: { type: "text_delta", text },
});
const close = (index: number): Json => ({ type: "content_block_stop", index });
const END = [
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 12 } },
  { type: "message_stop" },
];

test("meter: usage is cumulative over a stream, and a field that is absent keeps its value", () => {
  const meter = anthropicFormat.meter();
  assert.deepEqual(meter.read(START), []);
  meter.read(open(0));
  assert.deepEqual(meter.read(text(0, "Hé")), [{ channel: 0, text: "Hé" }]);
  meter.read(close(0));
  meter.read(open(1));
  assert.deepEqual(
    meter.read({ type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: `{"a"` } }),
    [{ channel: 1, text: `{"a"` }],
  );
  assert.deepEqual(
    meter.read({ type: "content_block_delta", index: 2, delta: { type: "thinking_delta", thinking: "hm" } }),
    [{ channel: 2, text: "hm" }],
  );
  meter.read({ type: "ping" });
  assert.equal(meter.complete, false);
  END.forEach((event) => meter.read(event));
  assert.equal(meter.complete, true);
  assert.deepEqual(meter.usage, { inputTokens: 10, cacheWriteTokens: 2, cacheReadTokens: 3, outputTokens: 12 });
  assert.deepEqual([meter.outputTokensSeen, meter.outputBytesSeen], [3, 9]);
});

test("meter: a stream without a report reports nothing, and anything may come", () => {
  const meter = anthropicFormat.meter();
  for (const data of [
    null,
    1,
    [],
    {},
    { type: 5 },
    { type: "message_start" },
    { type: "message_delta", usage: "x" },
    { type: "content_block_delta", index: -1, delta: 5 },
    { type: "error", error: {} },
  ]) {
    assert.deepEqual(meter.read(data as Json), []);
  }
  assert.equal(meter.usage, null);
});

test("meter: a plain answer is one event: text, thinking and the arguments of tools", () => {
  const meter = anthropicFormat.meter();
  const read = meter.read({
    type: "message",
    content: [
      { type: "thinking", thinking: "hm", signature: "s" },
      { type: "text", text: "hello" },
      { type: "tool_use", id: "t", name: "f", input: { a: 1 } },
    ],
    usage: { input_tokens: 3, output_tokens: 4 },
  });
  assert.deepEqual(
    read.map(({ text }) => text),
    ["hm", "hello", `{"a":1}`],
  );
  assert.equal(new Set(read.map(({ channel }) => channel)).size, 3);
  assert.equal(meter.complete, true);
  assert.deepEqual(meter.usage, { inputTokens: 3, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 4 });
});

interface Event {
  readonly type: string;
  readonly index?: number;
}

/** The order that client libraries assert: one start, blocks that open and close in turn, one delta, one stop. */
function readStrictly(events: readonly Event[]): void {
  const types = events.map(({ type }) => type);
  assert.equal(types[0], "message_start");
  assert.deepEqual(types.slice(-2), ["message_delta", "message_stop"]);
  assert.equal(types.filter((type) => type === "message_start" || type === "message_stop").length, 2);
  let block: number | undefined;
  for (const { type, index } of events) {
    if (type === "content_block_start") assert.equal(block, undefined);
    if (type === "content_block_stop" || type === "content_block_delta") assert.equal(index, block);
    if (type === "content_block_start") block = index;
    if (type === "content_block_stop") block = undefined;
  }
  assert.equal(block, undefined);
}

const parseEvents = (stream: string): Event[] =>
  stream
    .split("\n\n")
    .filter((event) => event !== "" && !event.startsWith(":"))
    .map((event) => {
      const [, type, data] = /^event: ([a-z_]+)\ndata: (.+)$/.exec(event) ?? assert.fail(event);
      const body = JSON.parse(data!) as Event;
      assert.equal(body.type, type);
      return body;
    });

test("an ending completes any beginning of a stream, whatever was read but not passed on", () => {
  const stream = [START, open(0), text(0, "a"), close(0), open(1), text(1, "b"), close(1), ...END] as Json[];
  for (let passed = 0; passed <= stream.length; passed++) {
    for (let read = passed; read <= stream.length; read++) {
      const meter = anthropicFormat.meter();
      stream.slice(0, passed).forEach((event) => meter.read(event));
      meter.passed();
      stream.slice(passed, read).forEach((event) => meter.read(event));
      const events = [...(stream.slice(0, passed) as unknown as Event[]), ...parseEvents(meter.ending("x"))];
      if (passed === stream.length - 1) continue; // Its delta has passed: a second one says so again.
      readStrictly(events);
    }
  }
  assert.match(anthropicFormat.meter().ending("reservation_used_up"), /^: cordon reservation_used_up\n\n/);
});

test("the credential, the version and the refusal, as this format writes them", () => {
  assert.deepEqual(anthropicFormat.authorization("KEY"), ["x-api-key", "KEY"]);
  const version = (value: string | undefined) => anthropicFormat.headers({ "anthropic-version": value, version: "no" });
  assert.deepEqual(version("2024-01-02"), { "anthropic-version": "2024-01-02" });
  assert.deepEqual(anthropicFormat.headers({ "anthropic-version": ["2024-01-02"] }), version(undefined));
  for (const bad of [undefined, "", "x", "2024-01-02\r\nx: y", "2024-01-02 "])
    assert.deepEqual(version(bad), { "anthropic-version": "2023-06-01" });
  assert.deepEqual(JSON.parse(anthropicFormat.refusalBody({ code: "denied", reason: "no", remedy: "ask" })), {
    type: "error",
    error: { type: "denied", message: "cordon: no (ask)" },
  });
});
