import type { GeneratedText } from "./format.ts";
import { tokensFromBytes } from "./parts.ts";

/** Counts the generated text of one answer while it passes, event by event. */
export class TextTally {
  /** Certain lower bound of the tokens so far. */
  tokens = 0;
  bytes = 0;
  #added: GeneratedText[] | undefined;

  /** Adds the text of one event to a channel. */
  add(channel: number, text: string): void {
    if (text === "") return;
    this.count(Buffer.byteLength(text));
    if (this.#added) this.#added.push({ channel, text });
    else this.#added = [{ channel, text }];
  }

  /** Counts the text of one event that nobody else needs. */
  count(bytes: number): void {
    this.bytes += bytes;
    this.tokens += tokensFromBytes(bytes);
  }

  /** What was added since the last call. */
  take(): readonly GeneratedText[] {
    const added = this.#added ?? NOTHING;
    this.#added = undefined;
    return added;
  }
}

const NOTHING: readonly GeneratedText[] = [];
