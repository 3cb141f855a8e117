import type { Json } from "../../../lib/json.ts";

/** Answers in both formats, written after the published shapes; each pair says the same thing. */
export const HEAD = { id: "msg_1", model: "p/m", createdS: 1_700_000_000 };

interface AnswerPair {
  readonly name: string;
  readonly chat: Json;
  readonly messages: Json;
}

const chat = (message: object, finish: string, usage: readonly [number, number, number]): Json => ({
  id: HEAD.id,
  object: "chat.completion",
  created: HEAD.createdS,
  model: HEAD.model,
  choices: [
    {
      index: 0,
      message: { role: "assistant", refusal: null, ...message },
      logprobs: null,
      finish_reason: finish,
    },
  ],
  usage: {
    prompt_tokens: usage[0],
    completion_tokens: usage[2],
    total_tokens: usage[0] + usage[2],
    prompt_tokens_details: { cached_tokens: usage[1] },
  },
});

const messages = (content: readonly object[], stop: string, usage: readonly [number, number, number]): Json =>
  ({
    id: HEAD.id,
    type: "message",
    role: "assistant",
    model: HEAD.model,
    content,
    stop_reason: stop,
    stop_sequence: null,
    usage: {
      input_tokens: usage[0] - usage[1],
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: usage[1],
      output_tokens: usage[2],
    },
  }) as Json;

const call = (id: string, name: string, args: string) => ({
  id,
  type: "function",
  function: { name, arguments: args },
});

export const answerPairs: readonly AnswerPair[] = [
  {
    name: "words",
    chat: chat({ content: "Hé" }, "stop", [10, 0, 3]),
    messages: messages([{ type: "text", text: "Hé" }], "end_turn", [10, 0, 3]),
  },
  {
    name: "words that were cut short, with a cached prompt",
    chat: chat({ content: "one two" }, "length", [10, 4, 3]),
    messages: messages([{ type: "text", text: "one two" }], "max_tokens", [10, 4, 3]),
  },
  {
    name: "calls of tools",
    chat: chat(
      { content: null, tool_calls: [call("c1", "f", '{"a":[1,null]}'), call("c2", "g", "{}")] },
      "tool_calls",
      [10, 10, 3],
    ),
    messages: messages(
      [
        { type: "tool_use", id: "c1", name: "f", input: { a: [1, null] } },
        { type: "tool_use", id: "c2", name: "g", input: {} },
      ],
      "tool_use",
      [10, 10, 3],
    ),
  },
  {
    name: "words and a call",
    chat: chat({ content: "see:", tool_calls: [call("c1", "f", '{"a":1}')] }, "tool_calls", [1, 0, 1]),
    messages: messages(
      [
        { type: "text", text: "see:" },
        { type: "tool_use", id: "c1", name: "f", input: { a: 1 } },
      ],
      "tool_use",
      [1, 0, 1],
    ),
  },
  {
    name: "a filter",
    chat: chat({ content: "" }, "content_filter", [5, 0, 0]),
    messages: messages([], "refusal", [5, 0, 0]),
  },
];

/** A stream of messages, and the chunks that tell it. */
export const messagesStream: readonly Json[] = [
  {
    type: "message_start",
    message: {
      ...(messages([], "", [0, 0, 0]) as object),
      usage: { input_tokens: 7, cache_read_input_tokens: 2 },
    } as Json,
  },
  { type: "ping" },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "se" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "e:" } },
  { type: "content_block_stop", index: 0 },
  { type: "content_block_start", index: 1, content_block: { type: "tool_use", id: "c1", name: "f", input: {} } },
  { type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: '{"a"' } },
  { type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: ":1}" } },
  { type: "content_block_stop", index: 1 },
  { type: "message_delta", delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 5 } },
  { type: "message_stop" },
];

const chunk = (delta: Json, finish: string | null = null): Json => ({
  id: HEAD.id,
  object: "chat.completion.chunk",
  created: HEAD.createdS,
  model: HEAD.model,
  choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
});

export const chatChunks: readonly Json[] = [
  chunk({ role: "assistant", content: "" }),
  chunk({ content: "se" }),
  chunk({ content: "e:" }),
  chunk({ tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "f", arguments: "" } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }),
  chunk({}, "tool_calls"),
  {
    id: HEAD.id,
    object: "chat.completion.chunk",
    created: HEAD.createdS,
    model: HEAD.model,
    choices: [],
    usage: {
      prompt_tokens: 9,
      completion_tokens: 5,
      total_tokens: 14,
      prompt_tokens_details: { cached_tokens: 2 },
    },
  },
];

/** The same chunks told as a stream of messages: what the prompt cost stands at the end. */
export const messagesEvents: readonly Json[] = [
  {
    type: "message_start",
    message: {
      id: HEAD.id,
      type: "message",
      role: "assistant",
      model: HEAD.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 },
    },
  },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "se" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "e:" } },
  { type: "content_block_stop", index: 0 },
  { type: "content_block_start", index: 1, content_block: { type: "tool_use", id: "c1", name: "f", input: {} } },
  { type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: '{"a"' } },
  { type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: ":1}" } },
  { type: "content_block_stop", index: 1 },
  {
    type: "message_delta",
    delta: { stop_reason: "tool_use", stop_sequence: null },
    usage: { input_tokens: 7, cache_creation_input_tokens: 0, cache_read_input_tokens: 2, output_tokens: 5 },
  },
  { type: "message_stop" },
];
