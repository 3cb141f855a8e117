import { parseJson, type Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { ChatCall } from "../wire/openai.ts";

type Block = { readonly [key: string]: Json };
type Turn = { readonly role: "user" | "assistant"; readonly content: Block[] };
type Cannot = (what: string) => void;

/**
 * A call of OpenAI's chat completions, said as one of Anthropic's messages; the error is what cannot be said there.
 * Nothing is left out but what changes no answer: `user` becomes metadata, `store: false` and `stream_options` are
 * how the gateway calls anyway. `detail` of an image may be left open or `high`, since all of it is always seen.
 */
export function chatToMessages(body: Json): Result<Json, string> {
  const faults: string[] = [];
  const cannot: Cannot = (what) => void faults.push(what);
  const { model, messages, tools, tool_choice, parallel_tool_calls, max_tokens, max_completion_tokens, ...more } =
    body as unknown as ChatCall;
  const { stream, stream_options: _options, store: _store, temperature, top_p, stop, user, ...rest } = more;
  const { n, frequency_penalty, presence_penalty, response_format, ...unknown } = rest;
  for (const key of Object.keys(unknown)) cannot(`\`${key}\` has no counterpart`);
  if ((n ?? 1) !== 1) cannot("more than one answer (`n`)");
  if ((frequency_penalty ?? 0) !== 0 || (presence_penalty ?? 0) !== 0) cannot("penalties have no counterpart");
  if (JSON.stringify(response_format ?? { type: "text" }) !== '{"type":"text"}')
    cannot("`response_format` has no counterpart");
  if (temperature !== undefined && (temperature < 0 || temperature > 1)) cannot("a `temperature` above 1");
  const sequences = typeof stop === "string" ? [stop] : (stop ?? []);
  const system = systemOf(messages, cannot);
  const turns = turnsOf(messages, cannot);
  if (turns[0]?.role !== "user") cannot("a conversation that the user does not begin");
  if (turns.at(-1)?.role === "assistant") cannot("a conversation that ends with the assistant");
  const choice = choiceOf(tool_choice, parallel_tool_calls, (tools ?? []).length > 0, cannot);
  const call = {
    model,
    ...(system.length > 0 && { system }),
    messages: turns,
    max_tokens: max_completion_tokens ?? max_tokens ?? limits.model.outputTokensDefault,
    ...(stream === undefined ? {} : { stream }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(top_p === undefined ? {} : { top_p }),
    ...(sequences.length > 0 && { stop_sequences: sequences }),
    ...(user === undefined ? {} : { metadata: { user_id: user } }),
    ...(tools && tools.length > 0 && { tools: tools.map(toolOf) }),
    ...(choice && { tool_choice: choice }),
  };
  const [fault] = faults;
  return fault === undefined ? ok(call as Json) : err(fault);
}

const text = (words: string): Block => ({ type: "text", text: words });

/** What comes before the conversation; instructions in the middle of one have no place there. */
function systemOf(messages: ChatCall["messages"], cannot: Cannot): Block[] {
  const first = messages.findIndex(({ role }) => role !== "system" && role !== "developer");
  const leading = first < 0 ? messages : messages.slice(0, first);
  if (messages.slice(leading.length).some(({ role }) => role === "system" || role === "developer"))
    cannot("instructions after the first message");
  return leading.flatMap(({ content, name }) => {
    if (name !== undefined) cannot("the name of who speaks");
    return partsOf(content, cannot);
  });
}

/** Turns of the two sides; the results of tools are the user's. Neighbours of one side are one turn. */
function turnsOf(messages: ChatCall["messages"], cannot: Cannot): Turn[] {
  const turns: Turn[] = [];
  for (const message of messages) {
    if (message.role === "system" || message.role === "developer") continue;
    if (message.name !== undefined) cannot("the name of who speaks");
    if (typeof message.refusal === "string") cannot("a refusal in the conversation");
    const role = message.role === "assistant" ? "assistant" : "user";
    const content = message.role === "tool" ? resultOf(message, cannot) : saidIn(message, cannot);
    if (content.length === 0) cannot("a message without content");
    const last = turns.at(-1);
    if (last?.role === role) last.content.push(...content);
    else turns.push({ role, content });
  }
  return turns;
}

function saidIn(
  { role, content, tool_calls: calls, tool_call_id }: ChatCall["messages"][number],
  cannot: Cannot,
): Block[] {
  if (tool_call_id !== undefined) cannot("`tool_call_id` outside of a tool's message");
  if (calls && role !== "assistant") cannot("calls of tools by another than the assistant");
  return [
    ...partsOf(content, cannot),
    ...(calls ?? []).map(({ id, function: { name, arguments: given } }): Block => {
      const input = parseJson(Buffer.from(given === "" ? "{}" : given), limits.door.jsonDepthMax);
      if (!input.ok || typeof input.value !== "object" || input.value === null || Array.isArray(input.value))
        cannot("arguments of a tool that are no JSON object");
      return { type: "tool_use", id, name, input: input.ok ? input.value : {} };
    }),
  ];
}

function resultOf({ content, tool_call_id: id, tool_calls }: ChatCall["messages"][number], cannot: Cannot): Block[] {
  if (id === undefined || tool_calls) cannot("a tool's message without its call");
  const parts = partsOf(content, cannot);
  return [{ type: "tool_result", tool_use_id: id ?? "", ...(parts.length > 0 && { content: parts }) }];
}

function partsOf(content: ChatCall["messages"][number]["content"], cannot: Cannot): Block[] {
  const parts = typeof content === "string" ? [{ type: "text" as const, text: content }] : (content ?? []);
  return parts.flatMap((part): Block[] => {
    if (part.type === "image_url") return [imageOf(part.image_url, cannot)];
    if (part.type === "refusal") cannot("a refusal in the conversation");
    // An empty text is refused there, and says nothing.
    return part.type === "text" && part.text ? [text(part.text)] : [];
  });
}

function imageOf({ url, detail }: { url: string; detail?: string | undefined }, cannot: Cannot): Block {
  if (detail === "low") cannot("an image in low detail");
  const [, media_type = "", data = ""] = /^data:(image\/(?:png|jpeg));base64,(.*)$/s.exec(url) ?? [];
  if (data === "") cannot("an image that is not sent along");
  return { type: "image", source: { type: "base64", media_type, data } };
}

function toolOf({
  function: { name, description, parameters, strict },
}: NonNullable<ChatCall["tools"]>[number]): Block {
  return {
    name,
    ...(description === undefined ? {} : { description }),
    input_schema: parameters ?? { type: "object", properties: {} },
    ...(strict === true && { strict }),
  };
}

function choiceOf(
  choice: Json | undefined,
  parallel: boolean | undefined,
  tools: boolean,
  cannot: Cannot,
): Block | undefined {
  const one: Block = parallel === false ? { disable_parallel_tool_use: true } : {};
  if (!tools) {
    if (choice !== undefined && choice !== "auto" && choice !== "none") cannot("a choice of tools without tools");
    return undefined;
  }
  if (choice === undefined) return parallel === false ? { type: "auto", ...one } : undefined;
  if (choice === "auto") return { type: "auto", ...one };
  if (choice === "none") return { type: "none" };
  if (choice === "required") return { type: "any", ...one };
  const { type, function: named, ...more } = (choice ?? {}) as { type?: Json; function?: { name?: Json } };
  if (type === "function" && typeof named?.name === "string" && Object.keys(more).length === 0)
    return { type: "tool", name: named.name, ...one };
  cannot("this `tool_choice`");
  return undefined;
}
