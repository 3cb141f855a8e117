import { z } from "zod";
import { err, ok } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal } from "../../../protocol/refusal.ts";
import type { WireFormat } from "./format.ts";
import { countOf, fieldsOf } from "./json-fields.ts";
import { listOf } from "./list.ts";
import { InputMeter } from "./openai-embeddings.ts";
import { geminiRefusal, malformed } from "./parts.ts";

const Call = z.strictObject({
  requests: listOf(
    z.strictObject({
      model: z.string().max(300),
      content: z.strictObject({
        parts: listOf(z.strictObject({ text: z.string() }), limits.model.messagesMax, 1),
        role: z.string().max(16).optional(),
      }),
      taskType: z.string().max(64).optional(),
      title: z.string().optional(),
      outputDimensionality: z.int().min(1).max(65_536).optional(),
    }),
    limits.model.embeddingsMax,
    1,
  ),
});

/** Gemini batchEmbedContents (ai.google.dev/api/embeddings). Where the answer reports no usage, the bound is charged. */
export const geminiEmbedFormat: WireFormat = {
  name: "gemini.embed",
  api: "gemini",
  path: (model) => `/models/${model}:batchEmbedContents`,
  authorization: (secret) => ["x-goog-api-key", secret],
  headers: () => ({}),
  parse(body, bytes, from) {
    const parsed = Call.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const model = from?.model ?? "";
    const { requests } = parsed.data;
    if (requests.some((each) => each.model !== `models/${model}`))
      return err(
        refusal("malformed", "a request names another model than the path", `name \`models/${model}\` in each`),
      );
    return ok({
      ...{ model, stream: false, choices: 1, outputTokens: 0, inputTokensMax: bytes },
      ...{ images: [], tools: 0, temperature: null },
      body: (upstreamModel) =>
        Buffer.from(
          JSON.stringify({ requests: requests.map((each) => ({ ...each, model: `models/${upstreamModel}` })) }),
        ),
    });
  },
  meter: () => new InputMeter((answer) => countOf(fieldsOf(answer["usageMetadata"])["promptTokenCount"])),
  refusalBody: geminiRefusal,
};
