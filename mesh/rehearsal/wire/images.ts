import { z } from "zod";
import { ok, type Result } from "../../../lib/result.ts";
import { tokensOf } from "../tokens.ts";
import { ModelId, readForm } from "./read.ts";

/** One white pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

const Body = z.looseObject({
  model: ModelId,
  prompt: z.string().min(1),
  n: z.int().min(1).max(10).optional(),
  size: z.enum(["auto", "1024x1024", "1024x1536", "1536x1024"]).optional(),
  quality: z.enum(["auto", "low", "medium", "high"]).optional(),
});

/** OpenAI image generation: the same pixel for every prompt, with the report of a picture of that size and quality. */
export function openAiImages(body: unknown): Result<unknown, string> {
  const form = readForm(Body, body);
  if (!form.ok) return form;
  const { prompt, n = 1 } = form.value;
  const size = form.value.size === undefined || form.value.size === "auto" ? "1024x1024" : form.value.size;
  const quality = form.value.quality === undefined || form.value.quality === "auto" ? "medium" : form.value.quality;
  const each = { low: 272, medium: 1_056, high: 4_160 }[quality] * (size === "1024x1024" ? 1 : 1.5);
  const [input, output] = [tokensOf(Buffer.byteLength(prompt)), n * Math.floor(each)];
  return ok({
    created: 1_750_000_000,
    ...{ background: "opaque", output_format: "png", quality, size },
    data: Array.from({ length: n }, () => ({ b64_json: PNG })),
    usage: {
      input_tokens: input,
      input_tokens_details: { image_tokens: 0, text_tokens: input },
      output_tokens: output,
      total_tokens: input + output,
    },
  });
}
