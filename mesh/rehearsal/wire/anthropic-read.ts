import { z } from "zod";
import type { Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Entry, ModelRequest, ToolCall } from "../conversation.ts";
import { finishRequest, JsonSchema, ModelId, modelName, PositiveTokens, readForm, ToolName } from "./read.ts";

/** POST /v1/messages. Source: Anthropic API reference, "Create a Message". */

const TextBlock = z.looseObject({ type: z.literal("text"), text: z.string() });
/** A picture is taken, and nobody looks at it. */
const ImageBlock = z.looseObject({ type: z.literal("image"), source: z.looseObject({ type: z.string() }) });
const textOf = (blocks: readonly { readonly text: string }[]): string => blocks.map((block) => block.text).join("\n\n");
const Text = z.union([z.string(), z.array(TextBlock).transform(textOf)]);

const ToolUse = z.looseObject({
  type: z.literal("tool_use"),
  id: z.string().min(1).max(200),
  name: ToolName,
  input: z.record(z.string(), z.unknown()),
});
const ToolResult = z.looseObject({
  type: z.literal("tool_result"),
  tool_use_id: z.string().min(1).max(200),
  content: Text.optional(),
  is_error: z.boolean().optional(),
});

const Message = z.discriminatedUnion("role", [
  z.looseObject({
    role: z.literal("user"),
    content: z.union([z.string(), z.array(z.discriminatedUnion("type", [TextBlock, ImageBlock, ToolResult])).min(1)]),
  }),
  z.looseObject({
    role: z.literal("assistant"),
    content: z.union([z.string(), z.array(z.discriminatedUnion("type", [TextBlock, ToolUse]))]),
  }),
]);

const Body = z.looseObject({
  model: ModelId,
  max_tokens: PositiveTokens,
  messages: z.array(Message).min(1).max(limits.model.messagesMax),
  system: Text.optional(),
  tools: z
    .array(z.looseObject({ name: ToolName, input_schema: JsonSchema }))
    .max(limits.model.toolsMax)
    .optional(),
  tool_choice: z
    .looseObject({ type: z.enum(["auto", "any", "tool", "none"]), disable_parallel_tool_use: z.boolean().optional() })
    .optional(),
  stop_sequences: z.array(z.string()).max(16).optional(),
  stream: z.boolean().optional(),
});

export function readAnthropic(body: unknown, bodyBytes: number): Result<ModelRequest, string> {
  const form = readForm(Body, body);
  if (!form.ok) return form;
  const { value } = form;
  const tools = value.tools ?? [];
  const request = {
    model: modelName(value.model),
    conversation: {
      system: value.system ?? "",
      entries: value.messages.flatMap(entriesOf),
      tools: value.tool_choice?.type === "none" ? [] : tools.map((tool) => tool.name),
    },
    maxTokens: value.max_tokens,
    stop: value.stop_sequences ?? [],
    choices: 1,
    callsMax: value.tool_choice?.disable_parallel_tool_use ? 1 : limits.rehearsal.callsParallelMax,
    stream: value.stream ?? false,
    usageInStream: true,
  };
  return finishRequest(request, tools.length > 0 ? Buffer.byteLength(JSON.stringify(tools)) : 0, bodyBytes);
}

/** Results come inside messages of the user's role; text beside them is the user speaking. */
function entriesOf(message: z.infer<typeof Message>): Entry[] {
  const blocks =
    typeof message.content === "string" ? [{ type: "text" as const, text: message.content }] : message.content;
  const text = textOf(blocks.filter((block) => block.type === "text"));
  if (message.role === "assistant") {
    const calls = blocks.flatMap((block): ToolCall[] =>
      block.type === "tool_use" ? [{ id: block.id, name: block.name, arguments: JSON.stringify(block.input) }] : [],
    );
    return [{ role: "assistant", text, calls }];
  }
  const results = blocks.flatMap((block): Entry[] =>
    block.type === "tool_result" ? [{ role: "result", callId: block.tool_use_id, text: block.content ?? "" }] : [],
  );
  return text === "" && results.length > 0 ? results : [...results, { role: "user", text }];
}
