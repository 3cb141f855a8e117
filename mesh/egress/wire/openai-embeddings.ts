import { z } from "zod";
import type { Json } from "../../../lib/json.ts";
import { err, ok } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { Meter, WireFormat } from "./format.ts";
import { countOf, fieldsOf } from "./json-fields.ts";
import { listOf } from "./list.ts";
import { malformed, openaiRefusal } from "./parts.ts";

const TokenIds = listOf(z.int().min(0), Infinity, 1);
const Call = z.strictObject({
  model: z.string().max(256),
  input: z.union([
    z.string(),
    listOf(z.string(), limits.model.embeddingsMax, 1),
    TokenIds,
    listOf(TokenIds, limits.model.embeddingsMax, 1),
  ]),
  dimensions: z.int().min(1).max(65_536).optional(),
  encoding_format: z.enum(["float", "base64"]).optional(),
  user: z.string().max(256).optional(),
});

/** OpenAI embeddings (platform.openai.com/docs/api-reference/embeddings): input costs, output does not. */
export const embeddingsFormat: WireFormat = {
  name: "openai.embeddings",
  api: "openai",
  path: () => "/embeddings",
  authorization: (secret) => ["authorization", `Bearer ${secret}`],
  headers: () => ({}),
  parse(body, bytes) {
    const parsed = Call.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const call = parsed.data;
    return ok({
      ...{ model: call.model, stream: false, choices: 1, outputTokens: 0 },
      // One token a byte; a text of its own may cost a token of its own, and has at least its quotes and comma.
      inputTokensMax: bytes,
      ...{ images: [], tools: 0, temperature: null },
      body: (upstreamModel) => Buffer.from(JSON.stringify({ ...call, model: upstreamModel })),
    });
  },
  meter: () => new InputMeter((answer) => countOf(fieldsOf(answer["usage"])["prompt_tokens"])),
  refusalBody: openaiRefusal,
};

/** Meter of answers that hold numbers only: what costs is what was sent. */
export class InputMeter implements Meter {
  usage: TokenUsage | null = null;
  complete = false;
  readonly outputTokensSeen = 0;
  readonly outputBytesSeen = 0;
  readonly #inputTokens: (answer: ReturnType<typeof fieldsOf>) => number | undefined;

  constructor(inputTokens: (answer: ReturnType<typeof fieldsOf>) => number | undefined) {
    this.#inputTokens = inputTokens;
  }

  read(data: Json): readonly [] {
    const inputTokens = this.#inputTokens(fieldsOf(data));
    this.complete = true;
    if (inputTokens !== undefined)
      this.usage = { inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 0 };
    return [];
  }

  passed(): void {}

  ending(reason: string): string {
    return `: cordon ${reason}\n\n`;
  }
}
