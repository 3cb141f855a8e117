import { z } from "zod";
import { err, ok } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import { drawnQualities, drawnSizes } from "./drawn-tokens.ts";
import type { Meter, WireFormat } from "./format.ts";
import { countOf, fieldsOf } from "./json-fields.ts";
import { malformed, openaiRefusal } from "./parts.ts";
import { UsageFinder } from "./usage-finder.ts";

/**
 * OpenAI image generation (platform.openai.com/docs/api-reference/images/create) of the models that answer with the
 * picture itself. What is drawn cannot be shortened to what a budget pays: it is held whole, or refused. A picture that
 * comes in parts costs more than the table says, so there is no stream.
 */
const Call = z.strictObject({
  model: z.string().max(256),
  prompt: z.string().min(1).max(32_000),
  n: z.int().min(1).max(limits.model.choicesMax).optional(),
  size: z.enum([...drawnSizes, "auto"]).optional(),
  quality: z.enum([...drawnQualities, "auto"]).optional(),
  background: z.enum(["auto", "transparent", "opaque"]).optional(),
  output_format: z.enum(["png", "jpeg", "webp"]).optional(),
  output_compression: z.int().min(0).max(100).optional(),
  moderation: z.enum(["auto", "low"]).optional(),
  user: z.string().max(256).optional(),
  stream: z.literal(false).optional(),
});

export const imagesFormat: WireFormat = {
  name: "openai.images",
  api: "openai",
  path: () => "/images/generations",
  authorization: (secret) => ["authorization", `Bearer ${secret}`],
  headers: () => ({}),
  firstByteMs: limits.model.drawTimeoutMs,
  parse(body, bytes) {
    const parsed = Call.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const { n = 1, ...call } = parsed.data;
    return ok({
      ...{ model: call.model, stream: false, choices: n, outputTokens: null },
      drawn: { size: call.size ?? "auto", quality: call.quality ?? "auto" },
      inputTokensMax: bytes,
      ...{ images: [], tools: 0, temperature: null },
      body: (upstreamModel) => Buffer.from(JSON.stringify({ ...call, n, model: upstreamModel })),
    });
  },
  meter: () => new DrawnMeter(),
  refusalBody: openaiRefusal,
};

/** Reads the report of an answer that passes by, and none of its pictures. */
export class DrawnMeter implements Meter {
  readonly outputTokensSeen = 0;
  outputBytesSeen = 0;
  readonly #finder = new UsageFinder();

  /** The whole answer, where it was not read in pieces. */
  read(data: Parameters<Meter["read"]>[0]): readonly [] {
    this.pieces(Buffer.from(JSON.stringify(data)));
    return [];
  }

  pieces(chunk: Buffer): void {
    this.outputBytesSeen += chunk.length;
    this.#finder.push(chunk);
  }

  get complete(): boolean {
    return this.#finder.complete;
  }

  /** Pictures that were sent along cost more than text, and nothing here sends any: such a report is none. */
  get usage(): TokenUsage | null {
    const usage = fieldsOf(this.#finder.usage);
    const details = fieldsOf(usage["input_tokens_details"]);
    const [inputTokens, outputTokens] = [countOf(usage["input_tokens"]), countOf(usage["output_tokens"])];
    if (!this.complete || inputTokens === undefined || outputTokens === undefined) return null;
    if (details["image_tokens"] !== undefined && details["image_tokens"] !== 0) return null;
    return { inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens };
  }

  passed(): void {}

  /** Nothing makes a broken picture whole: the object stays open, which no client takes for an answer. */
  ending(): string {
    return "";
  }
}
