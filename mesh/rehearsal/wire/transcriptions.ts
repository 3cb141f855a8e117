import { createHash } from "node:crypto";
import { err, ok, type Result } from "../../../lib/result.ts";
import { tokensOf } from "../tokens.ts";

const WORDS = "the of and to in is you that it he was for on are as with his they at be this have from or one".split(
  " ",
);
const WORDS_MAX = 400;

/**
 * OpenAI transcription: two words a second, chosen by the sound, with the report of a model that is paid by tokens. The
 * form is read by the platform's own reader, as a provider's would be.
 */
export async function openAiTranscriptions(contentType: string, body: Buffer): Promise<Result<unknown, string>> {
  let form: FormData;
  try {
    form = await new Response(new Uint8Array(body), { headers: { "content-type": contentType } }).formData();
  } catch {
    return err("body: no form that can be read");
  }
  const [file, prompt, format] = [form.get("file"), form.get("prompt"), form.get("response_format")];
  if (typeof form.get("model") !== "string" || !(file instanceof File)) return err("body: wants `model` and `file`");
  const bytes = Buffer.from(await file.arrayBuffer());
  if (bytes.length < 44 || bytes.toString("latin1", 8, 12) !== "WAVE") return err("file: invalid file format");
  const seconds = (bytes.length - 44) / Math.max(1, bytes.readUInt32LE(28));
  const digest = createHash("sha256").update(bytes).digest();
  const count = Math.min(WORDS_MAX, Math.max(1, Math.round(seconds * 2)));
  const text = Array.from({ length: count }, (_, at) => WORDS[(digest[at % digest.length] ?? 0) % WORDS.length]).join(
    " ",
  );
  const [audio, said] = [Math.ceil(seconds * 10), typeof prompt === "string" ? tokensOf(Buffer.byteLength(prompt)) : 0];
  const output = tokensOf(Buffer.byteLength(text));
  const usage = {
    ...{ type: "tokens", input_tokens: audio + said, output_tokens: output, total_tokens: audio + said + output },
    input_token_details: { audio_tokens: audio, text_tokens: said },
  };
  const more = format === "verbose_json" ? { task: "transcribe", language: "english", duration: seconds } : {};
  return ok({ ...more, text, usage });
}
