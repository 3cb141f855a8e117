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
    const bytes = Buffer.byteLength(text);
    this.bytes += bytes;
    this.tokens += tokensFromBytes(bytes);
    this.#added.push({ channel, text });
  }

  /** What was added since the last call. */
  take(): readonly GeneratedText[] {
    return this.#added.length === 0 ? NOTHING : this.#added.splice(0);
  }
}

const NOTHING: readonly GeneratedText[] = [];
