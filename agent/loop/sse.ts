/** One dispatched event. `event` is "message" where the stream names none. */
export interface SseEvent {
  readonly event: string;
  readonly data: string;
}

/** Thrown nowhere: `push` returns it. */
export const EVENT_TOO_LONG = "an event of the stream is too long";

/**
 * Server-sent events (WHATWG HTML, section 9.2.6), for text that arrives in pieces of any size. Every
 * character is looked at once. `id` and `retry` are for reconnecting, which a model call never does.
 */
export class SseParser {
  readonly #charsMax: number;
  readonly #emit: (event: SseEvent) => void;
  #line: string[] = [];
  #lineChars = 0;
  #data: string[] = [];
  #dataChars = 0;
  #event = "";
  #afterCr = false;
  #started = false;

  constructor(charsMax: number, emit: (event: SseEvent) => void) {
    this.#charsMax = charsMax;
    this.#emit = emit;
  }

  /** Returns EVENT_TOO_LONG when a line or an event passes the bound; nothing may be pushed after that. */
  push(text: string): string | undefined {
    let start = 0;
    if (!this.#started && text !== "") {
      this.#started = true;
      if (text.charCodeAt(0) === 0xfeff) start = 1;
    }
    for (let i = start; i < text.length; i++) {
      const char = text.charCodeAt(i);
      // CR LF is one line end, also when a piece ends between the two.
      const paired = char === 10 && this.#afterCr;
      this.#afterCr = char === 13;
      if (char !== 10 && char !== 13) continue;
      if (!paired && !this.#endLine(text.slice(start, i))) return EVENT_TOO_LONG;
      start = i + 1;
    }
    return this.#keep(text.slice(start)) ? undefined : EVENT_TOO_LONG;
  }

  #keep(piece: string): boolean {
    if (piece === "") return true;
    this.#line.push(piece);
    this.#lineChars += piece.length;
    return this.#lineChars + this.#dataChars <= this.#charsMax;
  }

  #endLine(piece: string): boolean {
    if (!this.#keep(piece)) return false;
    const line = this.#line.join("");
    this.#line = [];
    this.#lineChars = 0;
    if (line === "") this.#dispatch();
    else this.#field(line);
    return true;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "event") this.#event = value;
    if (name !== "data") return;
    this.#data.push(value);
    this.#dataChars += value.length + 1;
  }

  #dispatch(): void {
    const event = { event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n") };
    const any = this.#data.length > 0;
    this.#event = "";
    this.#data = [];
    this.#dataChars = 0;
    if (any) this.#emit(event);
  }
}
