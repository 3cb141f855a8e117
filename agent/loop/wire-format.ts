import type { Refusal } from "../../protocol/refusal.ts";
import type { ModelAnswer, ModelAsk } from "./conversation.ts";
import type { SseEvent } from "./sse.ts";

/** One provider's way of putting a question and of streaming its answer. */
export interface WireFormat {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  body(ask: ModelAsk): object;
  reader(): AnswerReader;
}

export interface AnswerReader {
  /** Takes one event; a refusal ends the call. Events and fields that are not known are passed over. */
  take(event: SseEvent): Refusal | undefined;
  /** The whole answer, or undefined if the stream stopped before it was complete. */
  answer(): ModelAnswer | undefined;
}
