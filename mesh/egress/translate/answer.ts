import type { Json } from "../../../lib/json.ts";
import type { Result } from "../../../lib/result.ts";

/** What the agent is told instead of the provider's own names. */
export interface AnswerHead {
  /** Made by the mesh. */
  readonly id: string;
  /** `provider/model`. */
  readonly model: string;
  /** Seconds since the Unix epoch. */
  readonly createdS: number;
}

/** A stream of the provider's events, told event by event in the agent's format. */
export interface StreamTranslation {
  /** The data of one event; returns the events that it becomes, ready to be sent. */
  event(data: Json): string;
  /** The provider's stream is over: what is still owed. Nothing when called again. */
  end(): string;
}

/** Answers of one format, told in another. What is not understood in them is left out, as any reader would. */
export interface AnswerTranslation {
  /** A whole answer; the error is what cannot be told. */
  plain(answer: Json, head: AnswerHead): Result<Json, string>;
  stream(head: AnswerHead): StreamTranslation;
  /** The body of an error with `status`. */
  error(answer: Json, status: number): Json;
}

export const dataLine = (data: Json): string => `data: ${JSON.stringify(data)}\n\n`;
