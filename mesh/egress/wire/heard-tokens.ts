import { err, ok, type Result } from "../../../lib/result.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import type { Price } from "../../ledger/price.ts";
import { familyOf, type Provider } from "../providers.ts";

/** What a model is to hear. */
export interface Heard {
  readonly ms: number;
}

/** What a provider reports of sound, and is paid by: its tokens, or its time. */
export type HeardReport = "tokens" | "time";

/** Upper bounds of one call, and at which price it is held and settled. */
export interface HeardBound {
  readonly report: HeardReport;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly price: Price;
}

const models: Readonly<Record<string, Readonly<Record<string, HeardReport>>>> = {
  openai: { "gpt-4o-transcribe": "tokens", "gpt-4o-mini-transcribe": "tokens", "whisper-1": "time" },
};

/**
 * A second of sound, where it is paid by time: the rate at which other models count it, so that a cap in tokens means
 * the same for all. A price for an hour is one for 36,000 tokens.
 */
export const TOKENS_PER_SECOND_BY_TIME = 10;

/**
 * developers.openai.com/api/docs/models/gpt-4o-transcribe: a window of 16,000 tokens, of which an answer has at most
 * 2,000. A call may have 1,500 seconds, so a second cannot have 11 tokens; it is held at 20, and no sound at less than
 * the 30 seconds in which such models hear.
 */
const [WINDOW_TOKENS, ANSWER_TOKENS_MAX, TOKENS_PER_SECOND_MAX, SECONDS_MIN] = [16_000, 2_000, 20, 30];

/** Upper bound of what it costs to hear that, or the refusal of a model that has none that holds. */
export function heardBound(
  provider: Provider,
  model: string,
  price: Price,
  { ms }: Heard,
): Result<HeardBound, Refusal> {
  // The name of a deployment says nothing about the model behind it.
  const family = provider.hosting === undefined ? familyOf(provider) : "";
  const known = Object.hasOwn(models, family) ? models[family] : undefined;
  // The scripted model hears as the documented ones do.
  const report = family === "rehearsal" ? "tokens" : known && Object.hasOwn(known, model) ? known[model] : undefined;
  if (report === undefined)
    return err(
      refusal(
        "unsupported",
        `no bound is known for what \`${provider.name}/${model}\` charges for sound`,
        "ask `openai/whisper-1`, `openai/gpt-4o-transcribe` or `openai/gpt-4o-mini-transcribe`",
      ),
    );
  const seconds = Math.ceil(ms / 1_000);
  // Its report does not keep sound and text apart in every answer, so all input costs what the dearer of them does.
  const dearest = { ...price, input: price.dearestInput };
  if (report === "time")
    return ok({ report, inputTokens: seconds * TOKENS_PER_SECOND_BY_TIME, outputTokens: 0, price: dearest });
  const inputTokens = Math.min(WINDOW_TOKENS, Math.max(SECONDS_MIN, seconds) * TOKENS_PER_SECOND_MAX);
  return ok({ report, inputTokens, outputTokens: ANSWER_TOKENS_MAX, price: dearest });
}
