import { z } from "zod";
import { err, ok } from "../../../lib/result.ts";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { GeneratedText, Meter, WireFormat } from "./format.ts";
import { boundedTokens, malformed, outputTokens, passed, tokensFromBytes } from "./parts.ts";

/** Anthropic messages (docs.anthropic.com/en/api/messages). Text, thinking and client tools only, as for OpenAI. */
const CacheControl = z.strictObject({ type: z.literal("ephemeral"), ttl: z.enum(["5m", "1h"]).optional() }).nullish();
const Text = z.strictObject({
  type: z.literal("text"),
  text: z.string(),
  cache_control: CacheControl,
  citations: z.null().optional(),
});
const Block = z.discriminatedUnion("type", [
  Text,
  z.strictObject({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() }),
  z.strictObject({ type: z.literal("redacted_thinking"), data: z.string() }),
  z.strictObject({
    type: z.literal("tool_use"),
    id: z.string(),
    name: z.string(),
    input: passed,
    cache_control: CacheControl,
  }),
  z.strictObject({
    type: z.literal("tool_result"),
    tool_use_id: z.string(),
    content: z.union([z.string(), z.array(Text)]).optional(),
    is_error: z.boolean().optional(),
    cache_control: CacheControl,
  }),
]);
const Call = z.strictObject({
  model: z.string().max(256),
  max_tokens: outputTokens,
  messages: z
    .array(z.strictObject({ role: z.enum(["user", "assistant"]), content: z.union([z.string(), z.array(Block)]) }))
    .min(1)
    .max(limits.model.messagesMax),
  system: z.union([z.string(), z.array(Text)]).optional(),
  stream: z.boolean().optional(),
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  top_k: z.int().optional(),
  stop_sequences: z.array(z.string()).max(8).optional(),
  tools: z
    .array(
      z.strictObject({
        name: z.string(),
        description: z.string().optional(),
        input_schema: passed,
        type: z.literal("custom").nullish(),
        cache_control: CacheControl,
      }),
    )
    .max(limits.model.toolsMax)
    .optional(),
  tool_choice: passed.optional(),
  thinking: passed.optional(),
  metadata: z.strictObject({ user_id: z.string().max(256).nullish() }).optional(),
});

export const anthropicFormat: WireFormat = {
  api: "anthropic",
  path: "/messages",
  authorization: (secret) => ["x-api-key", secret],
  headers(agent) {
    const version = agent("anthropic-version");
    return { "anthropic-version": version && /^\d{4}-\d{2}-\d{2}$/.test(version) ? version : "2023-06-01" };
  },
  parse(body, bytes) {
    const parsed = Call.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const call = parsed.data;
    return ok({
      model: call.model,
      stream: call.stream ?? false,
      choices: 1,
      outputTokens: call.max_tokens,
      inputTokensMax: boundedTokens(bytes, call.tools !== undefined),
      body: (upstreamModel, tokens) =>
        Buffer.from(JSON.stringify({ ...call, model: upstreamModel, max_tokens: tokens })),
    });
  },
  meter: () => new AnthropicMeter(),
  refusalBody: ({ code, reason, remedy }) =>
    JSON.stringify({ type: "error", error: { type: code, message: `cordon: ${reason} (${remedy})` } }),
};

const count = z.int().min(0).nullish();
const UsageForm = z
  .object({
    input_tokens: count,
    output_tokens: count,
    cache_creation_input_tokens: count,
    cache_read_input_tokens: count,
  })
  .nullish()
  .catch(null);
const Answer = z.object({
  type: z.string(),
  usage: UsageForm,
  message: z.object({ usage: UsageForm }).nullish().catch(null),
  index: z.int().min(0).max(10_000).catch(0),
  delta: z
    .object({ text: z.string().nullish(), partial_json: z.string().nullish(), thinking: z.string().nullish() })
    .nullish()
    .catch(null),
  /** The blocks of a plain answer. */
  content: z
    .array(z.object({ text: z.string().nullish(), thinking: z.string().nullish(), input: z.json().optional() }))
    .catch([]),
});

const blockText = (block: z.infer<typeof Answer>["content"][number]): string =>
  `${block.text ?? ""}${block.thinking ?? ""}${block.input === undefined ? "" : JSON.stringify(block.input)}`;

class AnthropicMeter implements Meter {
  usage: TokenUsage | null = null;
  outputTokensSeen = 0;
  outputBytesSeen = 0;
  complete = false;
  #started = false;
  #openBlock: number | undefined;
  /** The same as the agent has seen it. */
  #seen: { readonly started: boolean; readonly openBlock: number | undefined; readonly complete: boolean } = {
    started: false,
    openBlock: undefined,
    complete: false,
  };

  read(data: Json): readonly GeneratedText[] {
    const parsed = Answer.safeParse(data);
    if (!parsed.success) return [];
    const { type, usage, message, index, delta, content } = parsed.data;
    this.#count(usage ?? message?.usage);
    const text = delta?.text ?? delta?.partial_json ?? delta?.thinking ?? content.map(blockText).join("");
    const bytes = Buffer.byteLength(text);
    this.outputBytesSeen += bytes;
    this.outputTokensSeen += tokensFromBytes(bytes);
    if (type === "message_start") this.#started = true;
    if (type === "content_block_start") this.#openBlock = index;
    if (type === "content_block_stop") this.#openBlock = undefined;
    if (type === "message_stop" || type === "message") this.complete = true;
    return bytes > 0 ? [{ channel: index, text }] : [];
  }

  passed(): void {
    this.#seen = { started: this.#started, openBlock: this.#openBlock, complete: this.complete };
  }

  /** Counts are cumulative over a stream; a field that is absent keeps its last value. */
  #count(usage: z.infer<typeof UsageForm>): void {
    if (!usage) return;
    const most = (field: keyof TokenUsage, seen: number | null | undefined): number =>
      Math.max(seen ?? 0, this.usage?.[field] ?? 0);
    this.usage = {
      inputTokens: most("inputTokens", usage.input_tokens),
      cacheReadTokens: most("cacheReadTokens", usage.cache_read_input_tokens),
      cacheWriteTokens: most("cacheWriteTokens", usage.cache_creation_input_tokens),
      outputTokens: most("outputTokens", usage.output_tokens),
    };
  }

  ending(reason: string): string {
    const event = (type: string, fields: object): string =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
    const { started, openBlock, complete } = this.#seen;
    const comment = `: cordon ${reason}\n\n`;
    if (complete) return comment;
    const start = started ? "" : event("message_start", { message: EMPTY_MESSAGE });
    const block = openBlock === undefined ? "" : event("content_block_stop", { index: openBlock });
    const usage = { output_tokens: this.usage?.outputTokens ?? this.outputTokensSeen };
    return `${comment}${start}${block}${event("message_delta", { delta: { stop_reason: "max_tokens", stop_sequence: null }, usage })}${event("message_stop", {})}`;
  }
}

/** For a reader that has seen nothing yet, since every stream begins with one. */
const EMPTY_MESSAGE = {
  ...{ id: "msg_cordon", type: "message", role: "assistant", model: "", content: [] },
  ...{ stop_reason: null, stop_sequence: null, usage: { input_tokens: 0, output_tokens: 0 } },
};
