import type { Result } from "../../../lib/result.ts";
import type { Json } from "../../../lib/json.ts";
import type { Refusal } from "../../../protocol/refusal.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { Api } from "../providers.ts";

/** A model call as an agent made it, understood completely; what is not understood was refused. */
export interface ModelCall {
  /** `provider/model`. */
  readonly model: string;
  readonly stream: boolean;
  /** Answers asked for (`n`). */
  readonly choices: number;
  /** The bound that the agent asked for, in tokens per answer; null = none given. */
  readonly outputTokens: number | null;
  /** No tokenizer needs more tokens than bytes: an upper bound of the prompt. */
  readonly inputTokensMax: number;
  /** The body for the provider, bounded to `outputTokens` per answer. */
  body(upstreamModel: string, outputTokens: number, provider: string): Buffer;
}

/** Text of one channel (a choice, a block) continues in that channel's next event. */
export interface GeneratedText {
  readonly channel: number;
  readonly text: string;
}

/** Reads what one answer costs while it passes. */
export interface Meter {
  /** One event's data of a stream, or the whole body of a plain answer; returns the text that it adds, per channel. */
  read(data: Json): readonly GeneratedText[];
  /** What the provider reported; null = nothing (absent is not zero). */
  readonly usage: TokenUsage | null;
  /** Certain lower bound of the tokens that were sent so far, over all answers. */
  readonly outputTokensSeen: number;
  /** Bytes of generated text so far: an upper bound of the tokens seen. */
  readonly outputBytesSeen: number;
  /** True when the provider has said that the answer is complete. */
  readonly complete: boolean;
  /** What was read so far has been passed on to the agent. */
  passed(): void;
  /** The events that end a stream in good form after what was passed on, in the provider's own format. */
  ending(reason: string): string;
}

/** One provider format: the door's route, the calls, the meter and the shape of an error. */
export interface WireFormat {
  readonly api: Api;
  /** Appended to the provider's base URL. */
  readonly path: string;
  /** Header that carries the credential. */
  authorization(secret: string): readonly [name: string, value: string];
  /** Further headers; `agent` looks up one of the agent's own. */
  headers(agent: (name: string) => string | undefined): Readonly<Record<string, string>>;
  parse(body: Json, bytes: number): Result<ModelCall, Refusal>;
  meter(): Meter;
  refusalBody(refusal: Refusal): string;
}
