import { z } from "zod";
import type { Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { joinTexts, type Entry, type ModelRequest } from "../conversation.ts";
import { finishRequest, JsonSchema, ModelId, modelName, PositiveTokens, readForm, ToolName } from "./read.ts";

/** POST /v1/chat/completions. Source: OpenAI API reference, "Create chat completion". */

const Text = z.union([
  z.string(),
  z
    .array(z.looseObject({ type: z.literal("text"), text: z.string() }))
    .transform((parts) => parts.map((part) => part.text).join("")),
]);

/** A picture is taken, and nobody looks at it. */
const UserText = z.union([
  z.string(),
  z
    .array(
      z.discriminatedUnion("type", [
        z.looseObject({ type: z.literal("text"), text: z.string() }),
        z.looseObject({ type: z.literal("image_url"), image_url: z.looseObject({ url: z.string().min(1) }) }),
      ]),
    )
    .transform((parts) => parts.map((part) => (part.type === "text" ? part.text : "")).join("")),
]);

const Call = z.looseObject({
  id: z.string().min(1).max(200),
  type: z.literal("function"),
  function: z.looseObject({ name: ToolName, arguments: z.string() }),
});

const Message = z.discriminatedUnion("role", [
  z.looseObject({ role: z.enum(["system", "developer"]), content: Text }),
  z.looseObject({ role: z.literal("user"), content: UserText }),
  z.looseObject({
    role: z.literal("assistant"),
    content: Text.nullish(),
    tool_calls: z.array(Call).max(limits.model.toolsMax).nullish(),
  }),
  z.looseObject({ role: z.literal("tool"), tool_call_id: z.string().min(1).max(200), content: Text }),
]);

const Body = z.looseObject({
  model: ModelId,
  messages: z.array(Message).min(1).max(limits.model.messagesMax),
  tools: z
    .array(
      z.looseObject({
        type: z.literal("function"),
        function: z.looseObject({ name: ToolName, parameters: JsonSchema.optional() }),
      }),
    )
    .max(limits.model.toolsMax)
    .nullish(),
  tool_choice: z.union([z.enum(["none", "auto", "required"]), z.looseObject({ type: z.string() })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_tokens: PositiveTokens.nullish(),
  max_completion_tokens: PositiveTokens.nullish(),
  n: z.int().min(1).max(limits.model.choicesMax).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
});

export function readOpenAi(body: unknown, bodyBytes: number): Result<ModelRequest, string> {
  const form = readForm(Body, body);
  if (!form.ok) return form;
  const { value } = form;
  const tools = value.tools ?? [];
  const request = {
    model: modelName(value.model),
    conversation: {
      system: joinTexts(
        value.messages.flatMap((m) => (m.role === "system" || m.role === "developer" ? [m.content] : [])),
      ),
      entries: value.messages.flatMap(entryOf),
      tools: value.tool_choice === "none" ? [] : tools.map((tool) => tool.function.name),
    },
    maxTokens: value.max_completion_tokens ?? value.max_tokens ?? undefined,
    stop: typeof value.stop === "string" ? [value.stop] : (value.stop ?? []),
    choices: value.n ?? 1,
    callsMax: value.parallel_tool_calls === false ? 1 : limits.rehearsal.callsParallelMax,
    stream: value.stream ?? false,
    usageInStream: value.stream_options?.include_usage ?? false,
  };
  return finishRequest(request, tools.length > 0 ? Buffer.byteLength(JSON.stringify(tools)) : 0, bodyBytes);
}

function entryOf(message: z.infer<typeof Message>): Entry[] {
  switch (message.role) {
    case "user":
      return [{ role: "user", text: message.content }];
    case "assistant": {
      const calls = (message.tool_calls ?? []).map((call) => ({ id: call.id, ...call.function }));
      return [{ role: "assistant", text: message.content ?? "", calls }];
    }
    case "tool":
      return [{ role: "result", callId: message.tool_call_id, text: message.content }];
    default:
      return [];
  }
}
