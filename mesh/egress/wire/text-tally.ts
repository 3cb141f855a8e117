import type { GeneratedText } from "./format.ts";
import { tokensFromBytes } from "./parts.ts";

/** Counts the generated text of one answer while it passes, event by event. */
export class TextTally {
  /** Certain lower bound of the tokens so far. */
  tokens = 0;
  bytes = 0;
  readonly #added: GeneratedText[] = [];

  /** Adds the text of one event to a channel. */
  add(channel: number, text: string): void {
    if (text === "") return;
    this.count(Buffer.byteLength(text));
    this.#added.push({ channel, text });
  }

  /** Counts the text of one event that nobody else needs. */
  count(bytes: number): void {
    this.bytes += bytes;
    this.tokens += tokensFromBytes(bytes);
  }

  /** What was added since the last call. */
  take(): readonly GeneratedText[] {
    return this.#added.length === 0 ? NOTHING : this.#added.splice(0);
  }
}

const NOTHING: readonly GeneratedText[] = [];
