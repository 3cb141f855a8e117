/** What is said at each route of the door, and what servers answer there, when everybody is honest: the grammar of the attack. */
import type { Json } from "../../../lib/json.ts";
import { extraFields, framed, garbled, oneOf, spelled, type Dice } from "./mutations.ts";

const text = { role: "user", content: "a text" };
const picture = {
  type: "image_url",
  image_url: { url: "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=" },
};
const tool = {
  type: "function",
  function: { name: "f", parameters: { type: "object", properties: { a: { type: "string" } } } },
};

const tools: Readonly<Record<string, Json>> = {
  "files.list": {},
  "files.read": { path: "a.txt" },
  "output.write": { path: "a.txt", content: "x" },
  "board.list": { match: "mine/**" },
  "board.read": { key: "mine/a", version: 1 },
  "board.write": { key: "mine/a", value: "x", if_version: 0, ttl_seconds: 60 },
  "board.delete": { key: "mine/a", if_version: 1 },
  "board.watch": { match: "mine/*", after: "AAAAAAAAAAAAAAAAAAAAAA", wait_ms: 1 },
  "board.history": { key: "mine/a", before_version: 2 },
  "bus.publish": { topic: "mine/t", body: "x", dedupe_key: "k", ttl_seconds: 60, reply_seconds: 60 },
  "bus.pull": { topic: "mine/t", count: 3, wait_ms: 1, from: 1 },
  "bus.ack": { topic: "mine/t", ids: ["evt_0000000000000000000000000a"], reject: "no" },
  "bus.reply": { topic: "mine/t", request: "evt_0000000000000000000000000a", body: "x" },
  "bus.replies": { topic: "mine/t", request: "evt_0000000000000000000000000a", after: 0, wait_ms: 1 },
  "bus.dead": { topic: "mine/t", after: 0 },
  "task.create": { to: "b", title: "t", input: "x", deadline_seconds: 60 },
  "task.handoff": { task: "tsk_0000000000000000000000000a", to: "c", note: "n" },
  "task.update": { task: "tsk_0000000000000000000000000a", state: "working", note: "n" },
  "task.done": { task: "tsk_0000000000000000000000000a", failed: true, result: "r" },
  "task.list": {},
  "message.send": { to: "b", body: "x", conversation: "c" },
};

const rpc = (method: string, params: Json): Json => ({ jsonrpc: "2.0", id: 1, method, params });
const message = "/v1/inbox/msg_0000000000000000000000000a";

/** Method, target, body. */
const asked: readonly (readonly [string, string, Json])[] = [
  ["GET", "/v1/self", {}],
  ["GET", "/v1/inbox?wait_ms=1", {}],
  ["GET", "/v1/databases", {}],
  ["GET", "/v1/repositories", {}],
  ["GET", "/v1/web/authority.pem", {}],
  ["GET", "/openai/v1/models", {}],
  ["POST", `${message}/done`, {}],
  ["POST", `${message}/reply`, { body: "x" }],
  ...Object.entries(tools).map(([name, body]) => ["POST", `/v1/tools/${name}`, body] as const),
  [
    "POST",
    "/mcp",
    rpc("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "1" } }),
  ],
  ["POST", "/mcp", rpc("tools/list", {})],
  ["POST", "/mcp", rpc("tools/call", { name: "board_write", arguments: { key: "mine/a", value: "x" } })],
  ["POST", "/mcp", [rpc("ping", {}), rpc("notifications/initialized", {})]],
];

const chat = {
  model: "evil/m",
  messages: [{ role: "system", content: "s" }, text, { role: "user", content: [{ type: "text", text: "x" }, picture] }],
  max_tokens: 50,
  temperature: 0.5,
  n: 1,
  tools: [tool],
  tool_choice: "auto",
  response_format: { type: "json_object" },
  stop: ["x"],
};
const responses = {
  model: "evil/m",
  input: [{ role: "user", content: [{ type: "input_text", text: "x" }] }],
  max_output_tokens: 50,
  tools: [{ type: "function", name: "f", parameters: {} }],
  instructions: "i",
};
const messages = {
  model: "wicked/m",
  max_tokens: 50,
  system: "s",
  messages: [{ role: "user", content: [{ type: "text", text: "x" }] }],
  tools: [{ name: "f", input_schema: { type: "object" } }],
  thinking: { type: "disabled" },
};
const contents = {
  contents: [{ role: "user", parts: [{ text: "x" }] }],
  generationConfig: { maxOutputTokens: 50, temperature: 0.1 },
  systemInstruction: { parts: [{ text: "s" }] },
};

const calls: readonly (readonly [string, Json])[] = [
  ["/openai/v1/chat/completions", chat],
  ["/openai/v1/chat/completions", { ...chat, stream: true, stream_options: { include_usage: true } }],
  ["/openai/v1/chat/completions", { ...chat, model: "wicked/m" }],
  ["/openai/v1/chat/completions", { ...chat, model: "chained", stream: true }],
  ["/openai/v1/chat/completions", { ...chat, model: "chained" }],
  ["/openai/v1/responses", responses],
  ["/openai/v1/responses", { ...responses, stream: true }],
  ["/openai/v1/embeddings", { model: "evil/m", input: ["x", "y"] }],
  ["/openai/v1/images/generations", { model: "evil/m", prompt: "x", size: "1024x1024", n: 1 }],
  ["/anthropic/v1/messages", messages],
  ["/anthropic/v1/messages", { ...messages, stream: true }],
  ["/anthropic/v1/messages", { ...messages, model: "cloud/m", stream: true }],
  ["/anthropic/v1/messages/count_tokens", { model: "wicked/m", messages: [text] }],
  ["/gemini/v1beta/models/vile/m:generateContent", contents],
  ["/gemini/v1beta/models/vile/m:streamGenerateContent?alt=sse", contents],
  [
    "/gemini/v1beta/models/vile/m:batchEmbedContents",
    { requests: [{ model: "models/m", content: { parts: [{ text: "x" }] } }] },
  ],
];

/** Of the desk, whose token nobody here has; a door knows none of them. */
const ofDesk: readonly (readonly [string, string])[] = [
  ["/v1/status", ""],
  ["/v1/agents/a/exec", '{"command":["/bin/true"]}'],
  ["/v1/credentials", "{}"],
  ["/v1/hooks/x", '{"headers":{},"bodyBase64":"e30="}'],
  ["/v1/events?after=-1&wait_ms=1e9", ""],
  ["/v1/__proto__", "{}"],
];

function form(dice: Dice): readonly [string, Buffer] {
  const mark = oneOf(dice, ["x", "----a'b", "a".repeat(70), "cordon-form-7d0f1c5ab94e42738f6b"]);
  const wave = Buffer.alloc(44 + 1_600);
  wave.write("RIFF", 0).toString();
  wave.writeUInt32LE(oneOf(dice, [wave.length - 8, wave.length - 8, 0, 0xffffffff, 1]), 4);
  wave.write("WAVEfmt ", 8);
  wave.writeUInt32LE(oneOf(dice, [16, 16, 18, 40, 0, 0xffffffff]), 16);
  wave.writeUInt16LE(oneOf(dice, [1, 1, 0xfffe, 0, 3]), 20);
  wave.writeUInt16LE(oneOf(dice, [1, 1, 2, 0, 65_535]), 22);
  wave.writeUInt32LE(oneOf(dice, [8_000, 8_000, 0, 1, 2 ** 31]), 24);
  wave.writeUInt32LE(16_000, 28);
  wave.writeUInt16LE(2, 32);
  wave.writeUInt16LE(16, 34);
  wave.write("data", 36);
  wave.writeUInt32LE(oneOf(dice, [1_600, 1_600, 0, 1_599, 0xffffffff]), 40);
  const line = oneOf(dice, ["\r\n", "\r\n", "\r\n", "\n"]);
  const part = (name: string, body: Buffer | string, more = ""): Buffer =>
    Buffer.concat([
      Buffer.from(`--${mark}${line}Content-Disposition: form-data; name="${name}"${more}${line}${line}`),
      Buffer.from(body),
      Buffer.from(line),
    ]);
  const parts = [
    part("model", "evil/m"),
    part("file", wave, oneOf(dice, ['; filename="a.wav"', "; filename*=utf-8''a", '; filename="a\\"b"'])),
  ];
  for (let more = dice(3); more > 0; more--)
    parts.splice(
      dice(parts.length),
      0,
      part(
        oneOf(dice, ["prompt", "model", "__proto__", "stream", "response_format", "timestamp_granularities[]"]),
        oneOf(dice, ["x", "false", "json", `--${mark}`, mark, "\ufffd"]),
      ),
    );
  const body = Buffer.concat([...parts, Buffer.from(`--${mark}--${oneOf(dice, ["\r\n", "", "after"])}`)]);
  return [`content-type: multipart/form-data; boundary=${oneOf(dice, [mark, `"${mark}"`])}`, body];
}

/** One request at the door, or a few behind one another. `web`: HOST:PORT of a server that may be reached. */
export function requestOf(dice: Dice, web: string): Buffer {
  const kind = dice(20);
  if (kind === 0) return Buffer.concat([requestOf(dice, web), requestOf(dice, web)]);
  if (kind < 3) return webRequestOf(dice, web);
  if (kind === 5) {
    const [target, body] = oneOf(dice, ofDesk);
    const token = oneOf(dice, ["Bearer x", "Bearer ", "bearer \x80", `Bearer ${"a".repeat(5_000)}`, "Basic eDp4"]);
    return framed(dice, [`POST ${target} HTTP/1.1`, "host: 127.0.0.1", `authorization: ${token}`], Buffer.from(body));
  }
  if (kind === 3) {
    const [type, body] = form(dice);
    return framed(dice, ["POST /openai/v1/audio/transcriptions HTTP/1.1", "host: x", type], garbled(dice, body));
  }
  if (kind === 4) {
    const lane = oneOf(dice, ["databases", "repositories"]);
    const protocol = oneOf(dice, ["postgres", "git"]);
    const after = oneOf(dice, [
      "\0\0\0\x08\x04\xd2\x16\x2f",
      "\0\0\0\x09\0\x03\0\0\0",
      '{"words":["a"],"protocol":null}\n',
      "\xff\xff\xff\xff",
      "{",
    ]);
    return Buffer.from(
      `GET /v1/${lane} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: ${protocol}\r\n\r\n${after}`,
      "latin1",
    );
  }
  const model = kind < 13;
  const [method, target, body] = model ? (["POST", ...oneOf(dice, calls)] as const) : oneOf(dice, asked);
  const line = `${dice(40) === 0 ? oneOf(dice, ["PUT", "HEAD", "OPTIONS", "TRACE"]) : method} ${target} HTTP/1.${dice(30) === 0 ? 0 : 1}`;
  // Most calls are to be answered: what answers is hostile, too.
  const json = Buffer.from(spelled(dice, body, Math.max(0, dice(model ? 8 : 5) - (model ? 5 : 1))));
  const head = [line, "host: x", "content-type: application/json"];
  const sound = Buffer.concat([
    Buffer.from(`${[...head, `content-length: ${json.length}`].join("\r\n")}\r\n\r\n`),
    json,
  ]);
  return model && dice(3) > 0 ? sound : framed(dice, head, dice(5) === 0 ? garbled(dice, json) : json);
}

function webRequestOf(dice: Dice, web: string): Buffer {
  const body = Buffer.from(oneOf(dice, ["", "x", "{}"]));
  const upgrade =
    dice(4) === 0
      ? [
          "connection: upgrade",
          "upgrade: websocket",
          "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
          "sec-websocket-version: 13",
        ]
      : [];
  const target = `/p?x=${dice(10)}`;
  const method = oneOf(dice, ["GET", "GET", "POST", "HEAD", "DELETE"]);
  if (dice(2) === 0)
    return framed(dice, [`${method} http://${web}${target} HTTP/1.1`, `host: ${web}`, ...upgrade], body);
  const tunnel = Buffer.from(`CONNECT ${web} HTTP/1.1\r\nhost: ${web}\r\n\r\n`);
  return Buffer.concat([
    tunnel,
    ...Array.from({ length: 1 + dice(3) }, () =>
      framed(dice, [`${method} ${target} HTTP/1.1`, `host: ${web}`, ...upgrade], body),
    ),
  ]);
}

const usage = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10, prompt_tokens_details: { cached_tokens: 1 } };
const said = {
  role: "assistant",
  content: "hello",
  tool_calls: [{ index: 0, id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
};
const answers: readonly Json[] = [
  { id: "x", object: "chat.completion", choices: [{ index: 0, message: said, finish_reason: "stop" }], usage },
  {
    id: "x",
    object: "response",
    status: "completed",
    output: [{ type: "message", role: "assistant", content: [{ type: "output_text", text: "hi" }] }],
    usage: { input_tokens: 5, output_tokens: 5 },
  },
  {
    id: "x",
    type: "message",
    role: "assistant",
    content: [
      { type: "text", text: "hi" },
      { type: "tool_use", id: "t", name: "f", input: { a: 1 } },
    ],
    stop_reason: "end_turn",
    usage: { input_tokens: 5, output_tokens: 5 },
  },
  {
    candidates: [{ content: { role: "model", parts: [{ text: "hi" }] }, finishReason: "STOP" }],
    usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 5 },
  },
  { object: "list", data: [{ object: "embedding", index: 0, embedding: [0.1, 0.2] }], usage },
  { created: 1, data: [{ b64_json: "AAAA" }], usage: { input_tokens: 5, output_tokens: 5, total_tokens: 10 } },
  { text: "heard", usage: { type: "tokens", input_tokens: 5, output_tokens: 5 } },
  { input_tokens: 5 },
  { embeddings: [{ values: [0.1] }] },
  { error: { message: "no", type: "x", code: null } },
];
const chunk = (delta: Json, reason: Json): Json => ({
  id: "x",
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, finish_reason: reason }],
});
const streams: readonly (readonly (readonly [string, Json])[])[] = [
  [
    ["", chunk({ role: "assistant", content: "a" }, null)],
    ["", chunk({ content: "b" }, null)],
    ["", chunk({ content: "c" }, null)],
    ["", chunk({ tool_calls: said.tool_calls }, null)],
    ["", chunk({}, "stop")],
    ["", { id: "x", choices: [], usage }],
  ],
  [
    [
      "message_start",
      {
        type: "message_start",
        message: {
          id: "m",
          type: "message",
          role: "assistant",
          content: [],
          usage: { input_tokens: 5, output_tokens: 1 },
        },
      },
    ],
    ["content_block_start", { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }],
    ["content_block_delta", { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "a" } }],
    [
      "content_block_delta",
      { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: "{" } },
    ],
    ["content_block_stop", { type: "content_block_stop", index: 0 }],
    ["message_delta", { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 5 } }],
    ["message_stop", { type: "message_stop" }],
  ],
  [
    ["response.created", { type: "response.created", response: { id: "r", status: "in_progress" } }],
    [
      "response.output_text.delta",
      { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "a" },
    ],
    ["response.completed", { type: "response.completed", response: answers[1] as Json }],
  ],
  [
    ["", answers[3] as Json],
    ["", answers[3] as Json],
  ],
];

function streamOf(dice: Dice): Buffer {
  const line = oneOf(dice, ["\n", "\n", "\n", "\r\n", "\r"]);
  const events = oneOf(dice, streams).flatMap((each) => Array.from({ length: dice(30) === 0 ? 200 : 1 }, () => each));
  const lines = events.map(
    ([name, data]) =>
      `${name === "" ? "" : `event: ${name}${line}`}data: ${dice(3) === 0 ? spelled(dice, data, 1) : JSON.stringify(data)}${line}${line}`,
  );
  if (dice(6) === 0)
    lines.splice(
      dice(lines.length),
      0,
      oneOf(dice, [
        `: ping${line}${line}`,
        `data:${line}data: {}${line}${line}`,
        "data: {",
        `id: \0${line}${line}`,
        `data: ${"x".repeat(90_000)}`,
      ]),
    );
  return Buffer.from(`${lines.join("")}${dice(5) === 0 ? "" : `data: [DONE]${line}${line}`}`);
}

/** What a server answers that wants to break its reader, in the pieces in which it comes. */
export function answerTo(dice: Dice, streaming: boolean): readonly Buffer[] {
  const inEvents = dice(5) === 0 ? !streaming : streaming;
  const body = inEvents ? streamOf(dice) : Buffer.from(spelled(dice, oneOf(dice, answers), dice(4)));
  const status = oneOf(dice, [
    "200 OK",
    "200 OK",
    "200 OK",
    "200 OK",
    "200 OK",
    "400 x",
    "401 x",
    "429 x",
    "500 x",
    "529 x",
    "204 x",
    "304 x",
    "302 x",
    "101 x",
    "100 x\r\n\r\nHTTP/1.1 200 OK",
    "103 x",
    "600 x",
    "099 x",
    "2000 x",
    "20 x",
  ]);
  const type = `content-type: ${inEvents ? "text/event-stream" : oneOf(dice, ["application/json", "application/json", "application/vnd.amazon.eventstream", "text/html"])}`;
  const whole = framed(
    dice,
    [`HTTP/1.${dice(20) === 0 ? 0 : 1} ${status}`, type, ...extraFields(dice)],
    dice(4) === 0 ? garbled(dice, body) : body,
  );
  const bytes = dice(12) === 0 ? garbled(dice, Buffer.concat([whole, whole])) : whole;
  const step = oneOf(
    dice,
    [bytes.length + 1, bytes.length + 1, 7, 300, 4_096].map((size) => Math.max(size, bytes.length >> 6)),
  );
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step));
  return pieces;
}
