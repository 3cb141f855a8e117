import { z } from "zod";
import { err, ok } from "../../../lib/result.ts";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { GeneratedText, Meter, WireFormat } from "./format.ts";
import { boundedTokens, malformed, outputTokens, passed, tokensFromBytes } from "./parts.ts";

/**
 * OpenAI chat completions (platform.openai.com/docs/api-reference/chat). Text and function tools only:
 * the tokens of an image, a sound or a hosted tool have no bound that bytes give, so those are refused.
 */
const TextPart = z.strictObject({
  type: z.enum(["text", "refusal"]),
  text: z.string().optional(),
  refusal: z.string().optional(),
});
const Content = z.union([z.string(), z.null(), z.array(TextPart)]);
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
});

export const openaiFormat: WireFormat = {
  api: "openai",
  path: "/chat/completions",
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
    return ok({
      model: rest.model,
      stream,
      choices: rest.n ?? 1,
      outputTokens: max_tokens ?? max_completion_tokens ?? null,
      inputTokensMax: boundedTokens(bytes, rest.tools !== undefined),
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
  refusalBody: ({ code, reason, remedy }) =>
    JSON.stringify({ error: { message: `cordon: ${reason} (${remedy})`, type: "cordon_refusal", param: null, code } }),
};

/** One field that is not understood must not hide the text in another. */
const generated = z.string().nullish().catch(null);
const Delta = z.object({
  content: generated,
  refusal: generated,
  reasoning_content: generated,
  tool_calls: z
    .array(
      z.object({
        index: z.int().min(0).max(limits.model.toolsMax).nullish().catch(null),
        function: z.object({ name: generated, arguments: generated }).nullish().catch(null),
      }),
    )
    .nullish()
    .catch(null),
});
const UsageForm = z.object({
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0),
  prompt_tokens_details: z
    .object({ cached_tokens: z.int().min(0).nullish() })
    .nullish()
    .catch(null),
});
const Answer = z.object({
  id: z.string().optional(),
  model: z.string().optional(),
  created: z.number().optional(),
  choices: z
    .array(
      z.object({
        index: z.int().min(0).max(limits.model.choicesMax).catch(0),
        delta: Delta.nullish(),
        message: Delta.nullish(),
        finish_reason: generated,
      }),
    )
    .catch([]),
  usage: UsageForm.nullish().catch(null),
});

/** Here the cached tokens are part of the prompt's. */
function disjoint(usage: z.infer<typeof UsageForm>): TokenUsage {
  const cached = Math.min(usage.prompt_tokens_details?.cached_tokens ?? 0, usage.prompt_tokens);
  const inputTokens = usage.prompt_tokens - cached;
  return { inputTokens, cacheReadTokens: cached, cacheWriteTokens: 0, outputTokens: usage.completion_tokens };
}

/** Each kind of text, and each tool call, goes on by itself: a secret may be split over one of them. */
function textsOf(part: z.infer<typeof Delta> | null | undefined): [slot: number, text: string][] {
  const calls = part?.tool_calls ?? [];
  return [
    [0, part?.content ?? ""],
    [1, part?.refusal ?? ""],
    [2, part?.reasoning_content ?? ""],
    ...calls.map((call, at): [number, string] => [
      3 + (call.index ?? at),
      `${call.function?.name ?? ""}${call.function?.arguments ?? ""}`,
    ]),
  ];
}
const CHANNELS_PER_CHOICE = 1_024;

class OpenaiMeter implements Meter {
  usage: TokenUsage | null = null;
  outputTokensSeen = 0;
  outputBytesSeen = 0;
  complete = false;
  #head: { id: string; model: string; created: number } = { id: "chatcmpl-cordon", model: "", created: 0 };
  readonly #open = new Set<number>();
  /** Choices that the agent has seen open, once it has seen any. */
  #openPassed: ReadonlySet<number> | undefined;

  read(data: Json): readonly GeneratedText[] {
    const parsed = Answer.safeParse(data);
    if (!parsed.success) return [];
    const added: GeneratedText[] = [];
    const { id, model, created, choices, usage } = parsed.data;
    this.#head = { id: id ?? this.#head.id, model: model ?? this.#head.model, created: created ?? this.#head.created };
    if (usage) this.usage = disjoint(usage);
    for (const choice of choices) {
      const part = choice.delta ?? choice.message;
      let bytes = 0;
      for (const [slot, text] of textsOf(part)) {
        if (text === "") continue;
        bytes += Buffer.byteLength(text);
        added.push({ channel: choice.index * CHANNELS_PER_CHOICE + slot, text });
      }
      this.outputBytesSeen += bytes;
      this.outputTokensSeen += tokensFromBytes(bytes);
      if (choice.finish_reason) this.#open.delete(choice.index);
      else if (choice.delta) this.#open.add(choice.index);
    }
    const ends = usage || choices.some((choice) => choice.finish_reason);
    this.complete = this.#open.size === 0 && (this.complete || Boolean(ends));
    return added;
  }

  passed(): void {
    if (this.#openPassed || this.#open.size > 0 || this.complete) this.#openPassed = new Set(this.#open);
  }

  ending(reason: string): string {
    const head = { ...this.#head, object: "chat.completion.chunk" };
    // A reader that has seen nothing yet is told that the first answer ended.
    const chunks = [...(this.#openPassed ?? [0])].map((index) => ({
      ...head,
      choices: [{ index, delta: {}, finish_reason: "length" }],
    }));
    return [
      `: cordon ${reason}\n\n`,
      ...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`),
      "data: [DONE]\n\n",
    ].join("");
  }
}
