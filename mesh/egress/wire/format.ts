import type { Result } from "../../../lib/result.ts";
import type { Json } from "../../../lib/json.ts";
import type { Refusal } from "../../../protocol/refusal.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { SaidBody } from "./said-body.ts";
import type { Api } from "../providers.ts";
import type { Drawn } from "./drawn-tokens.ts";
import type { Heard } from "./heard-tokens.ts";

/** One kind of call that the door takes: a way to ask, with its meter, its bound and its refusal. */
export type WireName =
  | "openai.chat"
  | "openai.responses"
  | "openai.embeddings"
  | "openai.images"
  | "openai.transcriptions"
  | "anthropic.messages"
  | "anthropic.count"
  | "gemini.generate"
  | "gemini.embed";

/** What a format's URL says of a call, where its body does not. */
export interface FromPath {
  readonly model: string;
  readonly stream: boolean;
}

/** What the agent's own request says; names in lower case. */
export type AgentHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Pixels of one image, read from its own header. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** A model call as an agent made it, understood completely; what is not understood was refused. */
export interface ModelCall {
  /** `provider/model`. */
  readonly model: string;
  readonly stream: boolean;
  /** Answers asked for (`n`). */
  readonly choices: number;
  /** The bound that the agent asked for, in tokens per answer; null = none given. */
  readonly outputTokens: number | null;
  /** No tokenizer needs more tokens than bytes: an upper bound of the prompt, `images` not counted. */
  readonly inputTokensMax: number;
  /** Their tokens depend on the model: `imageTokensMax` of image-tokens.ts bounds them, or refuses. */
  readonly images: readonly ImageSize[];
  /** Pictures are asked for: their tokens depend on the model (drawn-tokens.ts), and are held whole or not at all. */
  readonly drawn?: Drawn;
  /** Sound is to be heard: what that costs depends on the model (heard-tokens.ts), and is held whole or not at all. */
  readonly heard?: Heard;
  /** Tools declared. */
  readonly tools: number;
  /** As the agent asked; null = not given. */
  readonly temperature: number | null;
  /** The body for the provider, bounded to `outputTokens` per answer. */
  body(upstreamModel: string, outputTokens: number, provider: string): Buffer;
}

/** What such a call costs cannot be made smaller: the budget pays all of it, or refuses. */
export const isHeldWhole = (call: ModelCall): boolean => call.drawn !== undefined || call.heard !== undefined;

/** A call that was sent as a form, and what stands for it where calls are told apart. */
export interface ReadForm {
  readonly call: ModelCall;
  readonly value: Json;
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
  /**
   * The text of the event that was read last, where it is all of one string of it, and the same event with another text
   * there would change nothing besides. Absent: no event of this format is such a one.
   */
  readonly only?: GeneratedText | undefined;
  /** The event that was read last came again with another text in the place of `only`, of so many bytes. */
  again?(bytes: number): void;
  /** Of answers that are too large to be collected: reads them as they come, in the place of `read`. */
  pieces?(chunk: Buffer): void;
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
  readonly name: WireName;
  /** What a provider must speak to be called in this way. */
  readonly api: Api;
  /** Appended to the provider's base URL; may carry a query. `model` is the provider's own name. */
  path(model: string, stream: boolean): string;
  /** Header that carries the credential. */
  authorization(secret: string): readonly [name: string, value: string];
  /** Further headers than every call has (providers-target.ts), or another type of its body. */
  headers(agent: AgentHeaders): Readonly<Record<string, string>>;
  /** `said`: the body in its own words, which some formats send on, but for what the mesh exchanges. */
  parse(body: Json, bytes: number, from?: FromPath, said?: SaidBody): Result<ModelCall, Refusal>;
  /** Of calls that are sent as a form: read in the place of `parse`. */
  form?(contentType: string, body: Buffer): Promise<Result<ReadForm, Refusal>>;
  meter(): Meter;
  /** How long a provider may need until it answers, where that is longer than for text. */
  readonly firstByteMs?: number;
  refusalBody(refusal: Refusal): string;
}
