/** Calls in both formats, written after the published shapes; each pair says the same thing. */
export const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export interface CallPair {
  readonly name: string;
  readonly chat: object;
  readonly messages: object;
  /** The pair is read in this direction only: the other way it is said in another, equal way. */
  readonly only?: "chat" | "messages";
}

const WEATHER = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const chatTool = { type: "function", function: { name: "weather", description: "now", parameters: WEATHER } };
const messagesTool = { name: "weather", description: "now", input_schema: WEATHER };
const asks = { role: "user", content: [{ type: "text", text: "hi" }] };

export const callPairs: readonly CallPair[] = [
  {
    name: "one question",
    chat: { model: "x", messages: [asks], max_tokens: 64 },
    messages: { model: "x", messages: [asks], max_tokens: 64 },
  },
  {
    name: "a question as a plain text",
    only: "chat",
    chat: { model: "x", messages: [{ role: "user", content: "hi" }], max_completion_tokens: 64 },
    messages: { model: "x", messages: [asks], max_tokens: 64 },
  },
  {
    name: "no bound asked for",
    only: "chat",
    chat: { model: "x", messages: [asks] },
    messages: { model: "x", messages: [asks], max_tokens: 1_024 },
  },
  {
    name: "instructions",
    chat: {
      model: "x",
      messages: [
        {
          role: "system",
          content: [
            { type: "text", text: "be brief" },
            { type: "text", text: "be kind" },
          ],
        },
        asks,
      ],
      max_tokens: 1,
    },
    messages: {
      model: "x",
      system: [
        { type: "text", text: "be brief" },
        { type: "text", text: "be kind" },
      ],
      messages: [asks],
      max_tokens: 1,
    },
  },
  {
    name: "instructions of two kinds",
    only: "chat",
    chat: {
      model: "x",
      messages: [{ role: "system", content: "be brief" }, { role: "developer", content: "be kind" }, asks],
      max_tokens: 1,
    },
    messages: {
      model: "x",
      system: [
        { type: "text", text: "be brief" },
        { type: "text", text: "be kind" },
      ],
      messages: [asks],
      max_tokens: 1,
    },
  },
  {
    name: "a picture",
    chat: {
      model: "x",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "what is it?" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } },
          ],
        },
      ],
      max_tokens: 9,
    },
    messages: {
      model: "x",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "what is it?" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
          ],
        },
      ],
      max_tokens: 9,
    },
  },
  {
    name: "tools, their calls and their results",
    chat: {
      model: "x",
      messages: [
        asks,
        {
          role: "assistant",
          content: [{ type: "text", text: "let me see" }],
          tool_calls: [
            { id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Bern"}' } },
            { id: "c2", type: "function", function: { name: "weather", arguments: "{}" } },
          ],
        },
        { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "sun" }] },
        { role: "tool", tool_call_id: "c2", content: "" },
        { role: "user", content: [{ type: "text", text: "and?" }] },
      ],
      max_tokens: 9,
      tools: [chatTool],
      tool_choice: "auto",
      parallel_tool_calls: false,
    },
    messages: {
      model: "x",
      messages: [
        asks,
        {
          role: "assistant",
          content: [
            { type: "text", text: "let me see" },
            { type: "tool_use", id: "c1", name: "weather", input: { city: "Bern" } },
            { type: "tool_use", id: "c2", name: "weather", input: {} },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "sun" }] },
            { type: "tool_result", tool_use_id: "c2" },
            { type: "text", text: "and?" },
          ],
        },
      ],
      max_tokens: 9,
      tools: [messagesTool],
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
    },
  },
  {
    name: "a call of a tool without words",
    chat: {
      model: "x",
      messages: [
        asks,
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "c", type: "function", function: { name: "weather", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "c", content: [{ type: "text", text: "sun" }] },
      ],
      max_tokens: 9,
    },
    messages: {
      model: "x",
      messages: [
        asks,
        { role: "assistant", content: [{ type: "tool_use", id: "c", name: "weather", input: {} }] },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: "c", content: [{ type: "text", text: "sun" }] }],
        },
      ],
      max_tokens: 9,
    },
  },
  ...(
    [
      ["none", { type: "none" }],
      ["required", { type: "any" }],
      [
        { type: "function", function: { name: "weather" } },
        { type: "tool", name: "weather" },
      ],
    ] as const
  ).map(([chat, messages]) => ({
    name: `the choice ${JSON.stringify(chat)}`,
    chat: { model: "x", messages: [asks], max_tokens: 9, tools: [chatTool], tool_choice: chat },
    messages: { model: "x", messages: [asks], max_tokens: 9, tools: [messagesTool], tool_choice: messages },
  })),
  {
    name: "a strict tool without parameters",
    only: "chat",
    chat: {
      model: "x",
      messages: [asks],
      max_tokens: 9,
      tools: [{ type: "function", function: { name: "f", strict: true } }],
    },
    messages: {
      model: "x",
      messages: [asks],
      max_tokens: 9,
      tools: [{ name: "f", input_schema: { type: "object", properties: {} }, strict: true }],
    },
  },
  {
    name: "sampling, stops, a user and a stream",
    chat: {
      model: "x",
      messages: [asks],
      max_tokens: 9,
      stream: true,
      temperature: 0.5,
      top_p: 0.9,
      stop: ["a", "b"],
      user: "u1",
    },
    messages: {
      model: "x",
      messages: [asks],
      max_tokens: 9,
      stream: true,
      temperature: 0.5,
      top_p: 0.9,
      stop_sequences: ["a", "b"],
      metadata: { user_id: "u1" },
    },
  },
  {
    name: "what changes no answer",
    only: "chat",
    chat: {
      model: "x",
      messages: [asks],
      max_tokens: 9,
      n: 1,
      stop: "a",
      store: false,
      response_format: { type: "text" },
      frequency_penalty: 0,
      presence_penalty: 0,
      stream_options: { include_usage: true },
    },
    messages: { model: "x", messages: [asks], max_tokens: 9, stop_sequences: ["a"] },
  },
  {
    name: "marks for the cache, and thinking switched off",
    only: "messages",
    chat: { model: "x", messages: [{ role: "system", content: [{ type: "text", text: "s" }] }, asks], max_tokens: 9 },
    messages: {
      model: "x",
      system: [{ type: "text", text: "s", cache_control: { type: "ephemeral" } }],
      messages: [{ role: "user", content: [{ type: "text", text: "hi", cache_control: { type: "ephemeral" } }] }],
      max_tokens: 9,
      thinking: { type: "disabled" },
    },
  },
];

/** What the other format cannot say: the call, and what is told of it. */
const says = (more: object) => ({ model: "x", messages: [asks], max_tokens: 9, ...more });
const turns = (...messages: object[]) => says({ messages });
const assistant = (content: unknown, more: object = {}) => ({ role: "assistant", content, ...more });

export const unsayableInMessages: readonly (readonly [object, RegExp])[] = [
  [says({ seed: 1 }), /`seed`/],
  [says({ reasoning_effort: "low" }), /`reasoning_effort`/],
  [says({ n: 2 }), /more than one answer/],
  [says({ temperature: 1.5 }), /temperature/],
  [says({ presence_penalty: 0.1 }), /penalties/],
  [says({ response_format: { type: "json_object" } }), /response_format/],
  [says({ tools: [chatTool], tool_choice: { type: "allowed_tools", allowed_tools: {} } }), /tool_choice/],
  [says({ tool_choice: "required" }), /without tools/],
  [turns(asks, { role: "system", content: "x" }, asks), /after the first message/],
  [turns(asks, assistant("x")), /ends with the assistant/],
  [turns(assistant("x"), asks), /user does not begin/],
  [turns({ ...asks, name: "bob" }), /name of who speaks/],
  [turns(asks, assistant(null), asks), /without content/],
  [turns(asks, assistant([{ type: "refusal", refusal: "no" }]), asks), /refusal/],
  [
    turns(
      asks,
      assistant(null, { tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{" } }] }),
      asks,
    ),
    /no JSON object/,
  ],
  [
    turns({
      role: "user",
      content: [{ type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}`, detail: "low" } }],
    }),
    /low detail/,
  ],
  [turns(asks, { role: "tool", content: "x" }), /without its call/],
];

export const unsayableInChat: readonly (readonly [object, RegExp])[] = [
  [says({ top_k: 5 }), /`top_k`/],
  [says({ thinking: { type: "enabled", budget_tokens: 1024 } }), /`thinking`/],
  [says({ stop_sequences: ["a", "b", "c", "d", "e"] }), /stop sequences/],
  [says({ tools: [{ ...messagesTool, eager_input_streaming: true }] }), /eager_input_streaming/],
  [says({ tools: [messagesTool], tool_choice: { type: "new_kind" } }), /tool_choice/],
  [turns(asks, assistant("x")), /ends with the assistant/],
  [turns(asks, assistant([{ type: "thinking", thinking: "t", signature: "s" }]), asks), /`thinking`/],
  [
    turns(
      asks,
      assistant([
        { type: "tool_use", id: "t", name: "f", input: {} },
        { type: "text", text: "x" },
      ]),
      asks,
    ),
    /after the call/,
  ],
  [turns({ role: "user", content: [{ type: "tool_result", tool_use_id: "t", is_error: true }] }), /is an error/],
  [
    turns({
      role: "user",
      content: [
        { type: "text", text: "x" },
        { type: "tool_result", tool_use_id: "t" },
      ],
    }),
    /after other content/,
  ],
  [
    turns({
      role: "user",
      content: [
        {
          type: "tool_result",
          tool_use_id: "t",
          content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } }],
        },
      ],
    }),
    /image in a tool's result/,
  ],
];
