import { z } from "zod";
import type { Json } from "../../../lib/json.ts";
import { err, ok } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import {
  hasOnly,
  isEither,
  isFlag,
  isJson,
  isListOf,
  isNull,
  isNumber,
  isOneOf,
  isText,
  isWithin,
  textUpTo,
} from "./checks.ts";
import type { WireFormat } from "./format.ts";
import { imagesOf } from "./images.ts";
import { listOf } from "./list.ts";
import { OpenaiMeter } from "./openai-meter.ts";
import { boundedTokens, malformed, openaiRefusal, outputTokens, passed } from "./parts.ts";
import { withMembers } from "./said-body.ts";

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
const Content = z.union([z.string(), z.null(), listOf(z.union([TextPart, ImagePart]))]);
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
  tool_calls: listOf(ToolCall, limits.model.toolsMax).optional(),
});
const Call = z.strictObject({
  model: z.string().max(256),
  messages: listOf(Message, limits.model.messagesMax, 1),
  max_tokens: outputTokens.optional(),
  max_completion_tokens: outputTokens.optional(),
  n: z.int().min(1).max(limits.model.choicesMax).optional(),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).optional(),
  tools: listOf(
    z.strictObject({
      type: z.literal("function"),
      function: z.strictObject({
        name: z.string(),
        description: z.string().optional(),
        parameters: passed.optional(),
        strict: z.boolean().nullish(),
      }),
    }),
    limits.model.toolsMax,
  ).optional(),
  tool_choice: passed.optional(),
  parallel_tool_calls: z.boolean().optional(),
  response_format: passed.optional(),
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  frequency_penalty: z.number().optional(),
  presence_penalty: z.number().optional(),
  stop: z.union([z.string(), listOf(z.string(), 8), z.null()]).optional(),
  seed: z.int().optional(),
  reasoning_effort: z.string().max(16).optional(),
  user: z.string().max(256).optional(),
  /** Nothing of the fleet is kept at the provider. */
  store: z.literal(false).optional(),
});

export type ChatCall = z.infer<typeof Call>;

const { choicesMax, messagesMax, outputTokensMax, toolsMax } = limits.model;
const isTextOrNull = isEither(isText, isNull);
const isToolCall = hasOnly(
  {
    id: isText,
    type: isOneOf(["function"]),
    function: hasOnly({ name: isText, arguments: isText }, {}),
  },
  {},
);
const isContent = isEither(isTextOrNull, isListOf(hasOnly({ type: isOneOf(["text"]), text: isText }, {}), 0, Infinity));
const isMessage = hasOnly(
  { role: isOneOf(["system", "developer", "user", "assistant", "tool"]) },
  {
    content: isContent,
    name: isText,
    refusal: isTextOrNull,
    tool_call_id: isText,
    tool_calls: isListOf(isToolCall, 0, toolsMax),
  },
);
const isTool = hasOnly(
  {
    type: isOneOf(["function"]),
    function: hasOnly({ name: isText }, { description: isText, parameters: isJson, strict: isEither(isFlag, isNull) }),
  },
  {},
);
/** A call of text and function tools with the usual parameters. */
export const isPlainCall = hasOnly(
  { model: textUpTo(256), messages: isListOf(isMessage, 1, messagesMax) },
  {
    max_tokens: isWithin(1, outputTokensMax),
    max_completion_tokens: isWithin(1, outputTokensMax),
    n: isWithin(1, choicesMax),
    stream: isFlag,
    stream_options: hasOnly({}, { include_usage: isFlag }),
    tools: isListOf(isTool, 0, toolsMax),
    tool_choice: isJson,
    parallel_tool_calls: isFlag,
    response_format: isJson,
    temperature: isNumber,
    top_p: isNumber,
    frequency_penalty: isNumber,
    presence_penalty: isNumber,
    seed: isWithin(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    reasoning_effort: textUpTo(16),
    user: textUpTo(256),
    store: isOneOf([false]),
  },
);

/** What the schema makes of a call; for the tests of `isPlainCall`. */
export const chatCallOf = (body: Json): ReturnType<typeof Call.safeParse> => Call.safeParse(body);

export const openaiFormat: WireFormat = {
  name: "openai.chat",
  api: "openai",
  path: () => "/chat/completions",
  authorization: (secret) => ["authorization", `Bearer ${secret}`],
  headers: () => ({}),
  parse(body, bytes, _from, said) {
    const parsed = isPlainCall(body) ? { success: true as const, data: body as ChatCall } : Call.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const call = parsed.data;
    const { max_tokens, max_completion_tokens } = call;
    if (max_tokens !== undefined && max_completion_tokens !== undefined) {
      return err(malformed("`max_tokens` and `max_completion_tokens` are both given"));
    }
    const stream = call.stream ?? false;
    const pictures = imagesOf(imageUrls(call.messages));
    if (!pictures.ok) return pictures;
    return ok({
      model: call.model,
      stream,
      choices: call.n ?? 1,
      outputTokens: max_tokens ?? max_completion_tokens ?? null,
      inputTokensMax: boundedTokens(bytes - pictures.value.bytes, call.tools !== undefined),
      images: pictures.value.sizes,
      tools: call.tools?.length ?? 0,
      temperature: call.temperature ?? null,
      body(upstreamModel, tokens, provider) {
        // Hosted reasoning models know only the newer name, most compatible servers only the older.
        const newer = max_completion_tokens !== undefined || (max_tokens === undefined && provider === "openai");
        if (said)
          return withMembers(said, {
            model: upstreamModel,
            max_tokens: newer ? undefined : tokens,
            max_completion_tokens: newer ? tokens : undefined,
            // As it was counted, however it was written.
            n: call.n,
            stream_options: stream ? { include_usage: true } : undefined,
          });
        const { max_tokens: _older, max_completion_tokens: _newer, ...rest } = call;
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
  messages.some(({ content }) => Array.isArray(content))
    ? messages.flatMap(({ content }) =>
        Array.isArray(content)
          ? content.flatMap((part) => (part.type === "image_url" ? [part.image_url.url] : []))
          : [],
      )
    : NO_URLS;
const NO_URLS: string[] = [];
