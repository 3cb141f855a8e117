import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { assert } from "../../../lib/assert.ts";
import type { Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import { FORM_TYPE, readFormData, textOf, writeFormData, type FormPart } from "./form-data.ts";
import type { GeneratedText, Meter, ModelCall, ReadForm, WireFormat } from "./format.ts";
import { TOKENS_PER_SECOND_BY_TIME, type HeardReport } from "./heard-tokens.ts";
import { countOf, fieldsOf, textOf as stringOf, type Fields } from "./json-fields.ts";
import { malformed, openaiRefusal, tokensFromBytes } from "./parts.ts";
import { readWave, widened } from "./wave.ts";

const TO_WAV = "convert it: ffmpeg -i IN -map_metadata -1 -bitexact -ac 1 -ar 16000 -c:a pcm_s16le OUT.wav";

/** Forms of an answer that hold no report of what it cost (`text`, `srt`, `vtt`) are not among them, nor are streams. */
const Call = z.strictObject({
  model: z.string().min(1).max(256),
  language: z.string().max(16).optional(),
  prompt: z.string().optional(),
  response_format: z.enum(["json", "verbose_json"]).optional(),
  temperature: z
    .string()
    .regex(/^(?:0(?:\.\d{1,8})?|1(?:\.0{1,8})?)$/, "must be a number from 0 to 1")
    .optional(),
  "timestamp_granularities[]": z.enum(["word", "segment"]).optional(),
  stream: z.literal("false").optional(),
});

/**
 * OpenAI transcription (platform.openai.com/docs/api-reference/audio/createTranscription). The sound is understood
 * completely, and the form is written anew: a provider that reads forms or files in another way finds nothing else in it.
 */
const format = (report: HeardReport): WireFormat => ({
  name: "openai.transcriptions",
  api: "openai",
  path: () => "/audio/transcriptions",
  authorization: (secret) => ["authorization", `Bearer ${secret}`],
  headers: () => ({ "content-type": FORM_TYPE }),
  parse: () => err(refusal("malformed", "sound is not sent as JSON", "send a form (multipart/form-data)")),
  form: readForm,
  meter: () => new TranscriptMeter(report),
  refusalBody: openaiRefusal,
});

export const transcriptionsFormat = format("tokens");
export const transcriptionsFormats: Readonly<Record<HeardReport, WireFormat>> = {
  tokens: transcriptionsFormat,
  time: format("time"),
};

async function readForm(contentType: string, body: Buffer): Promise<Result<ReadForm, Refusal>> {
  const form = await readFormData(contentType, body);
  if (!form.ok) return err(refusal("malformed", form.error, "send multipart/form-data as the official clients do"));
  const fields: (readonly [string, string])[] = [];
  let sound: FormPart | undefined;
  for (const part of form.value) {
    const text = part.isFile ? undefined : textOf(part.content);
    if (part.isFile && part.name === "file") sound = part;
    else if (text !== undefined && part.name !== "file") fields.push([part.name, text]);
    else return err(refusal("malformed", `\`${part.name}\` is not understood`, "send one `file`, and fields in UTF-8"));
  }
  const parsed = Call.safeParse(Object.fromEntries(fields));
  if (!parsed.success) return err(malformed(parsed.error));
  const wave = sound ? readWave(sound.content) : err("it is not there");
  if (!wave.ok) return err(refusal("unsupported", `the length of \`file\` is not certain: ${wave.error}`, TO_WAV));
  const { model, ...rest } = parsed.data;
  const said: Record<string, string> = {};
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) said[name] = value;
  const samples = await widened(wave.value);
  if (!writeFormData({ model, ...said }, NOTHING))
    return err(refusal("malformed", "a field holds the boundary that the mesh writes", "send another text"));
  const call: ModelCall = {
    ...{ model, stream: false, choices: 1, outputTokens: null, heard: { ms: wave.value.ms } },
    inputTokensMax: Object.values(said).reduce((sum, text) => sum + Buffer.byteLength(text), 0),
    ...{ images: [], tools: 0, temperature: rest.temperature === undefined ? null : Number(rest.temperature) },
    body(upstreamModel) {
      const form = writeFormData({ model: upstreamModel, ...said }, samples);
      assert(form, "a part of what was looked at holds no boundary either");
      return form;
    },
  };
  return ok({ call, value: { model, ...said, file: await sha256Of(samples) } });
}

/** Megabytes of sound must not keep everybody else waiting. */
async function sha256Of(bytes: Buffer): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += HASHED_PER_TURN_BYTES) {
    if (at > 0) await nextTurn();
    hash.update(bytes.subarray(at, at + HASHED_PER_TURN_BYTES));
  }
  return hash.digest("hex");
}

const HASHED_PER_TURN_BYTES = 512 * 1_024;

const NOTHING = Buffer.alloc(0);

/** Reads the report of a transcript. One of the other kind than the price is made for counts as none. */
export class TranscriptMeter implements Meter {
  usage: TokenUsage | null = null;
  complete = false;
  outputBytesSeen = 0;
  readonly #report: HeardReport;

  constructor(report: HeardReport) {
    this.#report = report;
  }

  get outputTokensSeen(): number {
    return this.#report === "time" ? 0 : tokensFromBytes(this.outputBytesSeen);
  }

  read(data: Json): readonly GeneratedText[] {
    const answer = fieldsOf(data);
    const text = stringOf(answer["text"]);
    this.outputBytesSeen = Buffer.byteLength(text);
    this.complete = typeof answer["text"] === "string";
    const usage = fieldsOf(answer["usage"]);
    if (this.complete) this.usage = this.#report === "time" ? byTime(usage) : byTokens(usage);
    return [{ channel: 0, text }];
  }

  passed(): void {}

  ending(): string {
    return "";
  }
}

function byTokens(usage: Fields): TokenUsage | null {
  const [inputTokens, outputTokens] = [countOf(usage["input_tokens"]), countOf(usage["output_tokens"])];
  if (usage["type"] !== "tokens" || inputTokens === undefined || outputTokens === undefined) return null;
  return { inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens };
}

function byTime(usage: Fields): TokenUsage | null {
  const seconds = usage["seconds"];
  if (usage["type"] !== "duration" || typeof seconds !== "number") return null;
  if (!(seconds >= 0 && seconds <= limits.sound.reportedSecondsMax)) return null;
  const inputTokens = Math.ceil(seconds) * TOKENS_PER_SECOND_BY_TIME;
  return { inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 0 };
}
