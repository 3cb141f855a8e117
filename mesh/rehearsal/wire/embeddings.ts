import { createHash } from "node:crypto";
import { z } from "zod";
import { ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { tokensOf } from "../tokens.ts";
import { ModelId, readForm } from "./read.ts";

/** Embeddings of no meaning: the same text gives the same vector. Sources: OpenAI and Gemini API references. */

const DIMENSIONS = 16;
const Input = z.union([z.string(), z.array(z.string()).min(1).max(limits.model.embeddingsMax)]);
const OpenAiBody = z.looseObject({
  model: ModelId,
  input: Input,
  encoding_format: z.enum(["float", "base64"]).optional(),
});
const GeminiBody = z.looseObject({
  requests: z
    .array(z.looseObject({ content: z.looseObject({ parts: z.array(z.looseObject({ text: z.string() })) }) }))
    .min(1)
    .max(limits.model.embeddingsMax),
});

export function openAiEmbeddings(body: unknown): Result<unknown, string> {
  const form = readForm(OpenAiBody, body);
  if (!form.ok) return form;
  const { model, input, encoding_format: encoding } = form.value;
  const texts = typeof input === "string" ? [input] : input;
  const tokens = texts.reduce((sum, text) => sum + tokensOf(Buffer.byteLength(text)), 0);
  const data = texts.map((text, index) => {
    const vector = vectorOf(text);
    const bytes = Buffer.from(new Float32Array(vector).buffer);
    return { object: "embedding", index, embedding: encoding === "base64" ? bytes.toString("base64") : vector };
  });
  return ok({ object: "list", data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } });
}

/** As there, no usage is reported. */
export function geminiEmbeddings(body: unknown): Result<unknown, string> {
  const form = readForm(GeminiBody, body);
  if (!form.ok) return form;
  const texts = form.value.requests.map(({ content }) => content.parts.map(({ text }) => text).join(""));
  return ok({ embeddings: texts.map((text) => ({ values: vectorOf(text) })) });
}

const vectorOf = (text: string): number[] =>
  [...createHash("sha256").update(text).digest().subarray(0, DIMENSIONS)].map((byte) => (byte - 127.5) / 512);
