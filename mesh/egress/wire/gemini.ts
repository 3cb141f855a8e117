import { err, ok } from "../../../lib/result.ts";
import type { WireFormat } from "./format.ts";
import { GeminiMeter } from "./gemini-meter.ts";
import { GenerateCall } from "./gemini-request.ts";
import { encodedImagesOf } from "./images.ts";
import { boundedTokens, geminiRefusal, malformed } from "./parts.ts";

/** Gemini generateContent and streamGenerateContent (ai.google.dev/api/generate-content). The path names model and manner. */
export const geminiFormat: WireFormat = {
  name: "gemini.generate",
  api: "gemini",
  path: (model, stream) =>
    stream ? `/models/${model}:streamGenerateContent?alt=sse` : `/models/${model}:generateContent`,
  authorization: (secret) => ["x-goog-api-key", secret],
  headers: () => ({}),
  parse(body, bytes, from) {
    const parsed = GenerateCall.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const call = parsed.data;
    const pictures = encodedImagesOf(imagesIn(call));
    if (!pictures.ok) return pictures;
    const config = call.generationConfig;
    const tools = (call.tools ?? []).reduce((sum, tool) => sum + tool.functionDeclarations.length, 0);
    return ok({
      model: from?.model ?? "",
      stream: from?.stream ?? false,
      choices: config?.candidateCount ?? 1,
      outputTokens: config?.maxOutputTokens ?? null,
      inputTokensMax: boundedTokens(bytes - pictures.value.bytes, tools > 0),
      images: pictures.value.sizes,
      tools,
      temperature: config?.temperature ?? null,
      body: (_model, tokens) =>
        Buffer.from(JSON.stringify({ ...call, generationConfig: { ...config, maxOutputTokens: tokens } })),
    });
  },
  meter: () => new GeminiMeter(),
  refusalBody: geminiRefusal,
};

const imagesIn = ({ contents, systemInstruction }: GenerateCall): { type: string; data: string }[] =>
  [...contents, ...(systemInstruction ? [systemInstruction] : [])].flatMap(({ parts }) =>
    parts.flatMap((part) =>
      "inlineData" in part ? [{ type: part.inlineData.mimeType, data: part.inlineData.data }] : [],
    ),
  );
