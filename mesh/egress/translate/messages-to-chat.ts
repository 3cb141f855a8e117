import type { z } from "zod";
import type { Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import type { MessagesCall } from "../wire/anthropic-request.ts";

type Call = z.infer<typeof MessagesCall>;
type Content = Call["messages"][number]["content"];
type Block = Exclude<Content, string>[number];
type Message = { readonly [key: string]: Json };
type Cannot = (what: string) => void;

/**
 * A call of Anthropic's messages, said as one of OpenAI's chat completions; the error is what cannot be said there.
 * `cache_control` is left out: it changes what a call costs, not what is answered, and prompts are cached there without
 * being asked. The stop sequence that ended an answer is not told there: such an answer ends as `end_turn`.
 */
export function messagesToChat(body: Json): Result<Json, string> {
  const faults: string[] = [];
  const cannot: Cannot = (what) => void faults.push(what);
  const { model, messages, system, tools, tool_choice, thinking, ...more } = body as unknown as Call;
  const { max_tokens, stream, temperature, top_p, stop_sequences: stop, metadata, ...unknown } = more;
  for (const key of Object.keys(unknown)) cannot(`\`${key}\` has no counterpart`);
  if (thinking !== undefined && (thinking as { type?: Json } | null)?.type !== "disabled") cannot("`thinking`");
  if ((stop ?? []).length > STOPS_MAX) cannot(`more than ${STOPS_MAX} stop sequences`);
  if (messages.at(-1)?.role === "assistant") cannot("a conversation that ends with the assistant");
  const call = {
    model,
    messages: [...instructions(system), ...messages.flatMap(({ role, content }) => said(role, content, cannot))],
    max_tokens,
    ...(stream === undefined ? {} : { stream }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(top_p === undefined ? {} : { top_p }),
    ...(stop && stop.length > 0 && { stop }),
    ...(typeof metadata?.user_id === "string" ? { user: metadata.user_id } : {}),
    ...(tools && tools.length > 0 && { tools: tools.map((tool) => toolOf(tool, cannot)) }),
    ...choiceOf(tool_choice, (tools ?? []).length > 0, cannot),
  };
  const [fault] = faults;
  return fault === undefined ? ok(call as Json) : err(fault);
}

/** platform.openai.com/docs/api-reference/chat/create, `stop`. */
const STOPS_MAX = 4;

function instructions(system: Call["system"]): Message[] {
  if (system === undefined || system.length === 0) return [];
  return [{ role: "system", content: typeof system === "string" ? system : system.map(({ text }) => textPart(text)) }];
}

const textPart = (text: string): Message => ({ type: "text", text });

function said(role: "user" | "assistant", content: Content, cannot: Cannot): Message[] {
  if (typeof content === "string") return [{ role, content }];
  return role === "user" ? saidByUser(content, cannot) : [saidByAssistant(content, cannot)];
}

/** The results of tools are messages of their own, and come first. */
function saidByUser(content: readonly Block[], cannot: Cannot): Message[] {
  const results: Message[] = [];
  const parts: Message[] = [];
  for (const block of content) {
    if (block.type === "tool_result") {
      if (parts.length > 0) cannot("a tool's result after other content");
      results.push(resultOf(block, cannot));
    } else if (block.type === "text") parts.push(textPart(block.text));
    else if (block.type === "image") {
      const { media_type, data } = block.source;
      parts.push({ type: "image_url", image_url: { url: `data:${media_type};base64,${data}` } });
    } else cannot(`\`${block.type}\` by the user`);
  }
  return parts.length > 0 ? [...results, { role: "user", content: parts }] : results;
}

function resultOf(
  { tool_use_id: id, content, is_error }: Extract<Block, { type: "tool_result" }>,
  cannot: Cannot,
): Message {
  if (is_error === true) cannot("a tool's result that is an error");
  const parts = typeof content === "string" ? [{ type: "text" as const, text: content }] : (content ?? []);
  const texts = parts.flatMap((part) => {
    if (part.type === "text") return [textPart(part.text)];
    cannot("an image in a tool's result");
    return [];
  });
  return { role: "tool", tool_call_id: id, content: texts.length > 0 ? texts : "" };
}

function saidByAssistant(content: readonly Block[], cannot: Cannot): Message {
  const texts: Message[] = [];
  const calls: Message[] = [];
  for (const block of content) {
    if (block.type === "text") {
      if (calls.length > 0) cannot("words after the call of a tool");
      texts.push(textPart(block.text));
    } else if (block.type === "tool_use") {
      const { id, name, input } = block;
      calls.push({ id, type: "function", function: { name, arguments: JSON.stringify(input) } });
    } else cannot(`\`${block.type}\` in the conversation`);
  }
  return {
    role: "assistant",
    content: texts.length > 0 ? texts : null,
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function toolOf(tool: NonNullable<Call["tools"]>[number], cannot: Cannot): Message {
  if (tool.eager_input_streaming === true) cannot("`eager_input_streaming`");
  const { name, description, input_schema: parameters, strict } = tool;
  const more = { ...(description === undefined ? {} : { description }), ...(strict === true && { strict }) };
  return { type: "function", function: { name, parameters, ...more } };
}

function choiceOf(choice: Json | undefined, tools: boolean, cannot: Cannot): { readonly [key: string]: Json } {
  if (choice === undefined) return {};
  const { type, name, disable_parallel_tool_use: one, ...more } = (choice ?? {}) as { readonly [key: string]: Json };
  if (!tools) {
    if (type !== "auto" && type !== "none") cannot("a choice of tools without tools");
    return {};
  }
  const parallel = one === true ? { parallel_tool_calls: false } : {};
  if (Object.keys(more).length > 0) cannot("this `tool_choice`");
  if (type === "auto") return { tool_choice: "auto", ...parallel };
  if (type === "none") return { tool_choice: "none" };
  if (type === "any") return { tool_choice: "required", ...parallel };
  if (type === "tool" && typeof name === "string")
    return { tool_choice: { type: "function", function: { name } }, ...parallel };
  cannot("this `tool_choice`");
  return {};
}
