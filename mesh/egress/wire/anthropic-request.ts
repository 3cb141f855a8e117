import { z } from "zod";
import { limits } from "../../../protocol/limits.ts";
import type { Refusal } from "../../../protocol/refusal.ts";
import type { Result } from "../../../lib/result.ts";
import { encodedImagesOf, type Images } from "./images.ts";
import { listOf } from "./list.ts";
import { outputTokens, passed } from "./parts.ts";

/** What an agent may say in the Anthropic format: text, images sent along, thinking and its own tools, as for OpenAI. */
const CacheControl = z.strictObject({ type: z.literal("ephemeral"), ttl: z.enum(["5m", "1h"]).optional() }).nullish();
const Text = z.strictObject({
  type: z.literal("text"),
  text: z.string(),
  cache_control: CacheControl,
  citations: z.null().optional(),
});
const Image = z.strictObject({
  type: z.literal("image"),
  source: z.strictObject({
    type: z.literal("base64"),
    media_type: z.enum(["image/png", "image/jpeg"]),
    data: z.string(),
  }),
  cache_control: CacheControl,
});
const Block = z.discriminatedUnion("type", [
  Text,
  Image,
  z.strictObject({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() }),
  z.strictObject({ type: z.literal("redacted_thinking"), data: z.string() }),
  z.strictObject({
    type: z.literal("tool_use"),
    id: z.string(),
    name: z.string(),
    input: passed,
    cache_control: CacheControl,
    caller: z.strictObject({ type: z.literal("direct") }).optional(),
  }),
  z.strictObject({
    type: z.literal("tool_result"),
    tool_use_id: z.string(),
    content: z.union([z.string(), listOf(z.discriminatedUnion("type", [Text, Image]))]).optional(),
    is_error: z.boolean().optional(),
    cache_control: CacheControl,
  }),
]);
const Tool = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  input_schema: passed,
  type: z.literal("custom").nullish(),
  cache_control: CacheControl,
  strict: z.boolean().optional(),
  eager_input_streaming: z.boolean().optional(),
});

/** What `messages` and `messages/count_tokens` both take. */
const prompt = {
  model: z.string().max(256),
  messages: listOf(
    z.strictObject({ role: z.enum(["user", "assistant"]), content: z.union([z.string(), listOf(Block)]) }),
    limits.model.messagesMax,
    1,
  ),
  system: z.union([z.string(), listOf(Text)]).optional(),
  tools: listOf(Tool, limits.model.toolsMax).optional(),
  tool_choice: passed.optional(),
  thinking: passed.optional(),
};
export const CountCall = z.strictObject(prompt);
export const MessagesCall = z.strictObject({
  ...prompt,
  max_tokens: outputTokens,
  stream: z.boolean().optional(),
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  top_k: z.int().optional(),
  stop_sequences: listOf(z.string(), 8).optional(),
  metadata: z.strictObject({ user_id: z.string().max(256).nullish() }).optional(),
});

/** The images of a prompt, those in tool results too. */
export function imagesIn(messages: z.infer<typeof CountCall>["messages"]): Result<Images, Refusal> {
  const blocks = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content));
  const inner = blocks.flatMap((block) =>
    block.type === "tool_result" && Array.isArray(block.content) ? block.content : [],
  );
  return encodedImagesOf(
    [...blocks, ...inner].flatMap((block) =>
      block.type === "image" ? [{ type: block.source.media_type, data: block.source.data }] : [],
    ),
  );
}
