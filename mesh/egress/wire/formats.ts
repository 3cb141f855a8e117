import { anthropicFormat } from "./anthropic.ts";
import { countFormat } from "./anthropic-count.ts";
import type { WireFormat, WireName } from "./format.ts";
import { geminiFormat } from "./gemini.ts";
import { geminiEmbedFormat } from "./gemini-embed.ts";
import { openaiFormat } from "./openai.ts";
import { embeddingsFormat } from "./openai-embeddings.ts";
import { imagesFormat } from "./openai-images.ts";
import { responsesFormat } from "./openai-responses.ts";
import { transcriptionsFormat } from "./openai-transcriptions.ts";

/** No meter, no route: what is not in this table cannot be asked for. */
export const wireFormats: Readonly<Record<WireName, WireFormat>> = {
  "openai.chat": openaiFormat,
  "openai.responses": responsesFormat,
  "openai.embeddings": embeddingsFormat,
  "openai.images": imagesFormat,
  "openai.transcriptions": transcriptionsFormat,
  "anthropic.messages": anthropicFormat,
  "anthropic.count": countFormat,
  "gemini.generate": geminiFormat,
  "gemini.embed": geminiEmbedFormat,
};
