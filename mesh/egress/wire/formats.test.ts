import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../../../lib/json.ts";
import { doorRoutes } from "../../../protocol/door.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal } from "../../../protocol/refusal.ts";
import { route } from "../../door/route.ts";
import { eventData } from "../event-stream.ts";
import type { WireName } from "./format.ts";
import { wireFormats } from "./formats.ts";

const MODEL = "p/m";
const messages = [{ role: "user", content: "hi" }];
const parts = [{ text: "hi" }];

/** What is sent as a form has tests of its own. */
type JsonName = Exclude<WireName, "openai.transcriptions">;

/** Of each format: its smallest call, a plain answer that costs 7 in and 3 out where it reports, and its own form of an error. */
const corpus: Readonly<
  Record<
    JsonName,
    { body: object; stream?: object; answer: object; reports?: false; free?: true; drawn?: true; message: string[] }
  >
> = {
  "openai.chat": {
    ...{ body: { model: MODEL, messages }, stream: { stream: true }, message: ["error", "message"] },
    answer: {
      choices: [{ index: 0, message: { content: "hello" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
    },
  },
  "openai.responses": {
    ...{ body: { model: MODEL, input: "hi" }, stream: { stream: true }, message: ["error", "message"] },
    answer: {
      ...{ object: "response", status: "completed" },
      output: [{ type: "message", content: [{ type: "output_text", text: "hello" }] }],
      usage: { input_tokens: 7, output_tokens: 3, total_tokens: 10 },
    },
  },
  "openai.embeddings": {
    ...{ body: { model: MODEL, input: ["hi"] }, message: ["error", "message"] },
    answer: { data: [{ embedding: [1] }], usage: { prompt_tokens: 7, total_tokens: 7 } },
  },
  "openai.images": {
    ...{ body: { model: MODEL, prompt: "hi" }, drawn: true, message: ["error", "message"] },
    answer: {
      data: [{ b64_json: "aGk=" }],
      usage: { input_tokens: 7, input_tokens_details: { image_tokens: 0, text_tokens: 7 }, output_tokens: 3 },
    },
  },
  "anthropic.messages": {
    ...{ body: { model: MODEL, max_tokens: 5, messages }, stream: { stream: true }, message: ["error", "message"] },
    answer: {
      type: "message",
      content: [{ type: "text", text: "hello" }],
      usage: { input_tokens: 7, output_tokens: 3 },
    },
  },
  "anthropic.count": {
    ...{ body: { model: MODEL, messages }, free: true, message: ["error", "message"] },
    answer: { input_tokens: 7 },
  },
  "gemini.generate": {
    ...{ body: { contents: [{ role: "user", parts }] }, stream: {}, message: ["error", "message"] },
    answer: {
      candidates: [{ content: { parts: [{ text: "hello" }] }, finishReason: "STOP" }],
      usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 1, thoughtsTokenCount: 2, totalTokenCount: 10 },
    },
  },
  "gemini.embed": {
    body: { requests: [{ model: `models/${MODEL}`, content: { parts } }] },
    ...{ answer: { embeddings: [{ values: [1] }] }, reports: false, message: ["error", "message"] },
  },
};
const all = Object.entries(corpus) as [JsonName, (typeof corpus)[JsonName]][];
const parse = (name: JsonName, more: object = {}, stream = false) =>
  wireFormats[name].parse({ ...corpus[name].body, ...more }, 1_000, { model: MODEL, stream });

/** Method and target of every route that leads to a model. */
const targets: readonly string[] = Object.values(doorRoutes).flatMap((path) =>
  path.startsWith("/gemini/")
    ? ["generateContent", "streamGenerateContent?alt=sse", "batchEmbedContents"].map((verb) => `${path}p/m:${verb}`)
    : [path],
);

test("every model route has a format, and every format a route", () => {
  const reached = targets.flatMap((target) => {
    const routed = route("POST", target);
    return routed.ok && routed.value.kind === "model" ? [routed.value.wire] : [];
  });
  assert.deepEqual(new Set(reached), new Set(Object.keys(wireFormats)));
  assert.deepEqual(new Set(Object.keys(wireFormats)), new Set([...Object.keys(corpus), "openai.transcriptions"]));
  for (const [name, format] of Object.entries(wireFormats)) assert.equal(format.name, name);
});

test("what has no meter is no route, and the refusal says why", () => {
  for (const path of [
    "images/edits",
    "images/variations",
    "audio/translations",
    "audio/speech",
    "completions",
    "files",
    "responses/resp_1",
  ]) {
    const routed = route("POST", `/openai/v1/${path}`);
    assert.ok(
      !routed.ok && routed.error.code === "unsupported" && /^no meter, no route: /.test(routed.error.reason),
      path,
    );
  }
  assert.equal(route("POST", "/openai/v1/anything").ok, false);
});

for (const [name, { stream, answer, reports, free, drawn, message }] of all) {
  const format = wireFormats[name];

  test(`${name}: a bound`, () => {
    const parsed = parse(name, stream);
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.equal(parsed.value.model, MODEL);
    assert.ok(parsed.value.inputTokensMax === (free ? 0 : 1_000));
    const sent = JSON.parse(parsed.value.body("upstream", 33, "own").toString()) as Json;
    const says = JSON.stringify(sent) + format.path("upstream", true);
    assert.ok(says.includes("upstream") && !says.includes(MODEL), "the provider's own name of the model, and no other");
    if (!free && !drawn && name !== "openai.embeddings" && name !== "gemini.embed")
      assert.match(JSON.stringify(sent), /"(?:max_\w+|maxOutputTokens)":33\b/);
  });

  test(`${name}: unknown parameters are refused`, () => {
    const parsed = parse(name, { unheard_of: 1 });
    assert.ok(!parsed.ok && parsed.error.code === "unsupported" && parsed.error.reason.includes("`unheard_of`"));
    for (const body of [null, [], "x", {}]) assert.equal(format.parse(body, 10).ok, false);
  });

  test(`${name}: a meter`, () => {
    const meter = format.meter();
    assert.equal(meter.complete, false);
    const texts = meter.read(answer as Json);
    assert.equal(meter.complete, true);
    const outputTokens = stream || drawn ? 3 : 0;
    const inputTokens = free ? 0 : 7;
    const usage = { inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens };
    assert.deepEqual(meter.usage, reports === false ? null : usage);
    assert.equal(texts.map(({ text }) => text).join(""), stream ? "hello" : "");
    if (!drawn) assert.equal(meter.outputBytesSeen, stream ? 5 : 0);
    for (const junk of [
      null,
      1,
      "x",
      [],
      { choices: 1, output: {}, candidates: "x", usage: [], usageMetadata: 5, delta: 5 },
    ])
      assert.deepEqual(format.meter().read(junk as Json), []);
  });

  test(`${name}: an end in good form`, () => {
    const ending = format.meter().ending("reservation_used_up");
    // An object that was not whole stays so: no client takes it for a picture.
    if (drawn) return assert.equal(ending, "");
    assert.match(ending, /^: cordon reservation_used_up\n\n/);
    assert.ok(ending.endsWith("\n\n"));
    const events = [...eventData(Buffer.from(ending))]
      .filter((data) => data !== "[DONE]")
      .map((data) => JSON.parse(data) as Json);
    if (!stream) return assert.equal(events.length, 0);
    const after = format.meter();
    for (const event of events) after.read(event);
    assert.equal(after.complete, true, "a reader, and our own meter, takes it for an end");
  });

  test(`${name}: a refusal in its own form`, () => {
    const body = JSON.parse(format.refusalBody(refusal("denied", "not you", "ask"))) as Json;
    assert.equal(
      message.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], body),
      "cordon: not you (ask)",
    );
  });
}

test("what a provider keeps, fetches or runs itself is refused", () => {
  for (const [name, more] of [
    ["openai.responses", { previous_response_id: "resp_1" }],
    ["openai.responses", { conversation: "conv_1" }],
    ["openai.responses", { background: true }],
    ["openai.responses", { service_tier: "priority" }],
    ["openai.responses", { input: [{ type: "item_reference", id: "msg_1" }] }],
    ["openai.responses", { tools: [{ type: "web_search" }] }],
    ["openai.responses", { input: [{ role: "user", content: [{ type: "input_file", file_url: "https://x" }] }] }],
    ["openai.responses", { input: [{ role: "user", content: [{ type: "input_image", image_url: "https://x" }] }] }],
    ["openai.responses", { include: ["web_search_call.action.sources"] }],
    ["openai.chat", { messages: [{ role: "user", content: [{ type: "file", file: { file_id: "f" } }] }] }],
    ["anthropic.messages", { mcp_servers: [{ url: "https://x" }] }],
    ["anthropic.messages", { container: "c" }],
    ["anthropic.messages", { service_tier: "auto" }],
    ["anthropic.messages", { tools: [{ type: "web_search_20250305", name: "web_search" }] }],
    [
      "anthropic.messages",
      { messages: [{ role: "user", content: [{ type: "image", source: { type: "url", url: "https://x" } }] }] },
    ],
    ["gemini.generate", { cachedContent: "cachedContents/1" }],
    ["gemini.generate", { tools: [{ googleSearch: {} }] }],
    ["gemini.generate", { tools: [{ codeExecution: {} }] }],
    ["gemini.generate", { contents: [{ parts: [{ fileData: { fileUri: "https://x" } }] }] }],
    ["gemini.generate", { generationConfig: { responseModalities: ["IMAGE"] } }],
    ["gemini.generate", { generationConfig: { max_output_tokens: 5 } }],
    ["gemini.embed", { requests: [{ model: "models/p/other", content: { parts } }] }],
  ] as const)
    assert.equal(parse(name, more).ok, false, `${name} ${JSON.stringify(more)}`);
});

test("nothing of a response is stored at the provider, whatever was asked", () => {
  for (const store of [undefined, true, false]) {
    const parsed = parse("openai.responses", store === undefined ? {} : { store });
    assert.ok(parsed.ok);
    assert.equal((JSON.parse(parsed.value.body("m", 5, "openai").toString()) as { store: boolean }).store, false);
  }
});

test("an image counts by its own bound, not by the bytes of its text", () => {
  const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
  const dataUrl = `data:image/png;base64,${pixel}`;
  for (const [name, more] of [
    ["openai.chat", { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: dataUrl } }] }] }],
    ["openai.responses", { input: [{ role: "user", content: [{ type: "input_image", image_url: dataUrl }] }] }],
    [
      "anthropic.messages",
      {
        messages: [
          {
            role: "user",
            content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: pixel } }],
          },
        ],
      },
    ],
    ["gemini.generate", { contents: [{ parts: [{ inlineData: { mimeType: "image/png", data: pixel } }] }] }],
  ] as const) {
    const parsed = parse(name, more);
    assert.ok(parsed.ok, `${name}: ${JSON.stringify(parsed)}`);
    assert.deepEqual(
      [parsed.value.inputTokensMax, parsed.value.images],
      [1_000 - pixel.length, [{ width: 1, height: 1 }]],
    );
    assert.ok(parsed.value.body("m", 5, "own").includes(pixel));
  }
});

test("cached and hidden tokens are settled at their own rates, each token once", () => {
  const read = (name: WireName, answer: object) => {
    const meter = wireFormats[name].meter();
    meter.read(answer as Json);
    return meter.usage;
  };
  const usage = { inputTokens: 50, cacheReadTokens: 40, cacheWriteTokens: 10, outputTokens: 30 };
  assert.deepEqual(
    read("openai.chat", {
      usage: {
        prompt_tokens: 100,
        completion_tokens: 30,
        prompt_tokens_details: { cached_tokens: 40, cache_write_tokens: 10 },
      },
    }),
    usage,
  );
  assert.deepEqual(
    read("openai.responses", {
      type: "response.completed",
      response: {
        usage: {
          ...{ input_tokens: 100, output_tokens: 30, output_tokens_details: { reasoning_tokens: 25 } },
          input_tokens_details: { cached_tokens: 40, cache_write_tokens: 10 },
        },
      },
    }),
    usage,
  );
  assert.deepEqual(
    read("anthropic.messages", {
      type: "message_delta",
      usage: { input_tokens: 50, cache_read_input_tokens: 40, cache_creation_input_tokens: 10, output_tokens: 30 },
    }),
    usage,
  );
  assert.deepEqual(
    read("gemini.generate", {
      usageMetadata: {
        ...{ promptTokenCount: 85, toolUsePromptTokenCount: 5, cachedContentTokenCount: 40 },
        ...{ candidatesTokenCount: 10, thoughtsTokenCount: 20, totalTokenCount: 120 },
      },
    }),
    { inputTokens: 50, cacheReadTokens: 40, cacheWriteTokens: 0, outputTokens: 30 },
  );
  const hidden = { promptTokenCount: 1, candidatesTokenCount: 10, thoughtsTokenCount: 20 };
  assert.equal(read("gemini.generate", { usageMetadata: hidden })?.outputTokens, 30);
  // A server that counts reasoning beside the answer, not in it.
  const beside = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 40 };
  assert.equal(read("openai.chat", { usage: beside })?.outputTokens, 30);
});

test("responses: every delta is text, each item and part a channel of its own; failed and incomplete end it, too", () => {
  for (const end of ["completed", "incomplete", "failed"]) {
    const meter = wireFormats["openai.responses"].meter();
    const event = (type: string, fields: object) => meter.read({ type, ...fields });
    event("response.created", {
      sequence_number: 0,
      response: { id: "resp_1", model: "m", created_at: 5, tools: ["much"] },
    });
    const channels = [
      ...event("response.output_text.delta", { output_index: 0, content_index: 0, delta: "a" }),
      ...event("response.output_text.delta", { output_index: 0, content_index: 1, delta: "b" }),
      ...event("response.refusal.delta", { output_index: 0, content_index: 0, delta: "c" }),
      ...event("response.reasoning_summary_text.delta", { output_index: 1, summary_index: 0, delta: "d" }),
      ...event("response.output_item.added", { output_index: 2, item: { type: "function_call", name: "f" } }),
      ...event("response.function_call_arguments.delta", { output_index: 2, sequence_number: 9, delta: "{}" }),
      ...event("response.some_new_kind.delta", { output_index: 3, delta: "e" }),
    ].map(({ channel }) => channel);
    assert.equal(new Set(channels).size, 7);
    assert.deepEqual([meter.outputBytesSeen, meter.complete], [8, false]);
    meter.passed();
    const [last] = [...eventData(Buffer.from(meter.ending("x")))].map(
      (data) => JSON.parse(data) as Record<string, unknown>,
    );
    assert.ok(Number(last?.["sequence_number"]) > 9);
    assert.deepEqual(
      { ...(last?.["response"] as object), output: 0 },
      {
        ...{ id: "resp_1", object: "response", model: "m", created_at: 5, output: 0, status: "incomplete" },
        ...{ incomplete_details: { reason: "max_output_tokens" }, usage: null },
      },
    );
    event(`response.${end}`, { response: { usage: null } });
    assert.deepEqual([meter.complete, meter.usage], [true, null], "absent is not zero");
    meter.passed();
    assert.equal(meter.ending("x"), ": cordon x\n\n");
  }
});

test("gemini: candidates end one by one, and an ending closes those that were seen open", () => {
  const meter = wireFormats["gemini.generate"].meter();
  const chunk = (index: number, fields: object): Json => ({ candidates: [{ index, ...fields }] });
  meter.read(
    chunk(0, {
      content: { parts: [{ text: "a" }, { text: "b", thought: true }, { functionCall: { name: "f", args: {} } }] },
    }),
  );
  meter.read(chunk(1, { content: { parts: [{ text: "c" }] } }));
  meter.read(chunk(1, { finishReason: "STOP" }));
  assert.deepEqual([meter.complete, meter.outputBytesSeen], [false, 6]);
  meter.passed();
  assert.deepEqual(
    [...eventData(Buffer.from(meter.ending("x")))].flatMap((data) =>
      (JSON.parse(data) as { candidates: { index: number }[] }).candidates.map(({ index }) => index),
    ),
    [0],
  );
  meter.read(chunk(0, { finishReason: "MAX_TOKENS" }));
  assert.equal(meter.complete, true);
  const blocked = wireFormats["gemini.generate"].meter();
  blocked.read({ promptFeedback: { blockReason: "SAFETY" }, usageMetadata: { promptTokenCount: 3 } });
  assert.deepEqual([blocked.complete, blocked.usage?.inputTokens], [true, 3]);
});

test("lists are bounded", () => {
  const many = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);
  assert.equal(parse("openai.embeddings", { input: many(limits.model.embeddingsMax + 1, "") }).ok, false);
  assert.equal(parse("openai.responses", { input: many(limits.model.messagesMax + 1, messages[0]) }).ok, false);
  assert.equal(parse("gemini.generate", { contents: many(limits.model.messagesMax + 1, { parts }) }).ok, false);
});
