import { z } from "zod";
import { err, ok } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { WireFormat } from "./format.ts";
import { imagesOf } from "./images.ts";
import { OpenaiMeter } from "./openai-meter.ts";
import { boundedTokens, malformed, openaiRefusal, outputTokens, passed } from "./parts.ts";

/**
 * OpenAI chat completions (platform.openai.com/docs/api-reference/chat). Text, images sent along, function tools:
 * the tokens of a sound, a file or a hosted tool have no bound, so those are refused; so is an image behind a URL,
 * since the provider would fetch it on the agent's behalf.
 */
const TextPart = z.strictObject({
  type: z.enum(["text", "refusal"]),
  text: z.string().optional(),
  refusal: z.string().optional(),
});
const ImagePart = z.strictObject({
  type: z.literal("image_url"),
  image_url: z.strictObject({ url: z.string(), detail: z.enum(["auto", "low", "high"]).optional() }),
});
const Content = z.union([z.string(), z.null(), z.array(z.union([TextPart, ImagePart]))]);
const ToolCall = z.strictObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
  index: z.int().optional(),
});
const Message = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: Content.optional(),
  name: z.string().optional(),
  refusal: z.union([z.string(), z.null()]).optional(),
  tool_call_id: z.string().optional(),
  tool_calls: z.array(ToolCall).max(limits.model.toolsMax).optional(),
});
const Call = z.strictObject({
  model: z.string().max(256),
  messages: z.array(Message).min(1).max(limits.model.messagesMax),
  max_tokens: outputTokens.optional(),
  max_completion_tokens: outputTokens.optional(),
  n: z.int().min(1).max(limits.model.choicesMax).optional(),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).optional(),
  tools: z
    .array(
      z.strictObject({
        type: z.literal("function"),
        function: z.strictObject({
          name: z.string(),
          description: z.string().optional(),
          parameters: passed.optional(),
          strict: z.boolean().nullish(),
        }),
      }),
    )
    .max(limits.model.toolsMax)
    .optional(),
  tool_choice: passed.optional(),
  parallel_tool_calls: z.boolean().optional(),
  response_format: passed.optional(),
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  frequency_penalty: z.number().optional(),
  presence_penalty: z.number().optional(),
  stop: z.union([z.string(), z.array(z.string()).max(8), z.null()]).optional(),
  seed: z.int().optional(),
  reasoning_effort: z.string().max(16).optional(),
  user: z.string().max(256).optional(),
  /** Nothing of the fleet is kept at the provider. */
  store: z.literal(false).optional(),
});

export type ChatCall = z.infer<typeof Call>;

export const openaiFormat: WireFormat = {
  name: "openai.chat",
  api: "openai",
  path: () => "/chat/completions",
  authorization: (secret) => ["authorization", `Bearer ${secret}`],
  headers: () => ({}),
  parse(body, bytes) {
    const parsed = Call.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const { max_tokens, max_completion_tokens, ...rest } = parsed.data;
    if (max_tokens !== undefined && max_completion_tokens !== undefined) {
      return err(malformed("`max_tokens` and `max_completion_tokens` are both given"));
    }
    const stream = rest.stream ?? false;
    const pictures = imagesOf(imageUrls(rest.messages));
    if (!pictures.ok) return pictures;
    return ok({
      model: rest.model,
      stream,
      choices: rest.n ?? 1,
      outputTokens: max_tokens ?? max_completion_tokens ?? null,
      inputTokensMax: boundedTokens(bytes - pictures.value.bytes, rest.tools !== undefined),
      images: pictures.value.sizes,
      tools: rest.tools?.length ?? 0,
      temperature: rest.temperature ?? null,
      body(upstreamModel, tokens, provider) {
        // Hosted reasoning models know only the newer name, most compatible servers only the older.
        const newer = max_completion_tokens !== undefined || (max_tokens === undefined && provider === "openai");
        return Buffer.from(
          JSON.stringify({
            ...rest,
            model: upstreamModel,
            [newer ? "max_completion_tokens" : "max_tokens"]: tokens,
            ...(stream ? { stream_options: { include_usage: true } } : {}),
          }),
        );
      },
    });
  },
  meter: () => new OpenaiMeter(),
  refusalBody: openaiRefusal,
};

const imageUrls = (messages: z.infer<typeof Call>["messages"]): string[] =>
  messages.flatMap(({ content }) =>
    Array.isArray(content) ? content.flatMap((part) => (part.type === "image_url" ? [part.image_url.url] : [])) : [],
  );
