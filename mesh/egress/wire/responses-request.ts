import { z } from "zod";
import { limits } from "../../../protocol/limits.ts";
import { listOf } from "./list.ts";
import { outputTokens, passed } from "./parts.ts";

/**
 * What an agent may say to the Responses route. The whole prompt is in the request: what the provider keeps
 * (`previous_response_id`, conversations, item references, stored prompts, files) has no bound here, and its own
 * tools have no price, so those are refused.
 */
const common = { id: z.string().nullish(), status: z.string().nullish() };
const OutputText = z.strictObject({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: listOf(z.never()).nullish(),
  logprobs: listOf(z.never()).nullish(),
});
const InputPart = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("input_text"), text: z.string() }),
  z.strictObject({
    type: z.literal("input_image"),
    image_url: z.string(),
    detail: z.enum(["auto", "low", "high"]).optional(),
  }),
  z.strictObject({ type: z.literal("refusal"), refusal: z.string() }),
  OutputText,
]);
const Texts = z.union([z.string(), listOf(InputPart)]);
const Message = z.strictObject({
  type: z.literal("message").optional(),
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: Texts,
  phase: z.string().max(32).nullish(),
  ...common,
});
const FunctionCall = z.strictObject({
  type: z.literal("function_call"),
  call_id: z.string(),
  name: z.string(),
  arguments: z.string(),
  ...common,
});
const FunctionOutput = z.strictObject({
  type: z.literal("function_call_output"),
  call_id: z.string(),
  output: Texts,
  ...common,
});
const Reasoning = z.strictObject({
  type: z.literal("reasoning"),
  summary: passed,
  content: passed.optional(),
  encrypted_content: z.string().nullish(),
  ...common,
});
const Item = z.union([Message, FunctionCall, FunctionOutput, Reasoning]);

export const ResponsesCall = z.strictObject({
  model: z.string().max(256),
  input: z.union([z.string(), listOf(Item, limits.model.messagesMax, 1)]),
  instructions: z.string().nullish(),
  max_output_tokens: outputTokens.nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: z.boolean().optional() }).nullish(),
  /** Set to false on the way out: nothing of the fleet is kept at the provider. */
  store: z.boolean().nullish(),
  include: listOf(z.literal("reasoning.encrypted_content")).nullish(),
  tools: listOf(
    z.strictObject({
      type: z.literal("function"),
      name: z.string(),
      description: z.string().nullish(),
      parameters: passed.optional(),
      strict: z.boolean().nullish(),
    }),
    limits.model.toolsMax,
  ).optional(),
  tool_choice: passed.optional(),
  parallel_tool_calls: z.boolean().nullish(),
  max_tool_calls: z.int().min(1).nullish(),
  reasoning: passed.optional(),
  text: passed.optional(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  truncation: z.enum(["auto", "disabled"]).nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  user: z.string().max(256).optional(),
  safety_identifier: z.string().max(256).optional(),
  prompt_cache_key: z.string().max(256).optional(),
});
export type ResponsesCall = z.infer<typeof ResponsesCall>;
