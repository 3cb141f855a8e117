import { PATTERN_BYTES_MIN, seek, step, type Automaton, type Reader } from "./automaton.ts";

export { compileScrubber, PATTERN_BYTES_MIN, step, type Automaton } from "./automaton.ts";

/**
 * Replaces secrets in a byte stream by a placeholder, across chunk borders, in one linear pass
 * (Aho & Corasick 1975, over bytes). Bytes are held back only while they could still begin a secret.
 */
export class Scrubber {
  readonly #automaton: Automaton;
  readonly #reader: Reader = { state: 0 };
  /** The bytes of the match that is open: as many as the depth of the state. */
  #held: Buffer = NOTHING;
  /** Occurrences replaced so far. */
  hits = 0;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  /** The bytes that are safe to pass on: `chunk` itself, where it has nothing of a secret. */
  push(chunk: Uint8Array): Buffer {
    const input = viewOf(chunk);
    const end = seek(this.#automaton, this.#reader, input, 0);
    if (end < 0 && this.#reader.state === 0 && this.#held.length === 0) return input;
    const pieces = this.#pieces(input, end);
    return pieces.length === 1 ? (pieces[0] ?? NOTHING) : Buffer.concat(pieces);
  }

  /** The same without a copy: what was held and is let go, then what is of `chunk` itself, and placeholders between. */
  pieces(chunk: Uint8Array): Buffer[] {
    const input = viewOf(chunk);
    return this.#pieces(input, seek(this.#automaton, this.#reader, input, 0));
  }

  /** `firstEnd`: after the first match in `input`, or -1. */
  #pieces(input: Buffer, firstEnd: number): Buffer[] {
    const { depth, match, placeholder } = this.#automaton;
    const held = this.#held;
    const out: Buffer[] = [];
    // What was held stands before the chunk.
    let from = -held.length;
    for (let end = firstEnd; end >= 0; end = seek(this.#automaton, this.#reader, input, end)) {
      // A match that begins in what was just replaced (one secret begins another) makes that longer.
      const first = end - (match[this.#reader.state] ?? 0);
      if (first >= from) {
        pushRange(out, held, input, from, first);
        out.push(placeholder);
        this.hits++;
      }
      from = end;
    }
    const end = Math.max(from, input.length - (depth[this.#reader.state] ?? 0));
    pushRange(out, held, input, from, end);
    this.#held = end === input.length ? NOTHING : copyOf(held, input, end);
    return out;
  }

  /** The rest, once the stream has ended. A long beginning of a secret is no coincidence, so it is replaced, too. */
  end(): Buffer {
    const rest = this.#held.length >= PATTERN_BYTES_MIN ? this.#automaton.placeholder : this.#held;
    this.#held = NOTHING;
    this.#reader.state = 0;
    return rest;
  }
}

const NOTHING = Buffer.alloc(0);
/** Offsets before 0 are in `held`, which ends there. */
function pushRange(out: Buffer[], held: Buffer, input: Buffer, from: number, to: number): void {
  if (from < 0 && from < to) out.push(held.subarray(held.length + from, held.length + Math.min(to, 0)));
  if (to > 0 && from < to) out.push(input.subarray(Math.max(from, 0), to));
}

function copyOf(held: Buffer, input: Buffer, from: number): Buffer {
  const pieces: Buffer[] = [];
  pushRange(pieces, held, input, from, input.length);
  return Buffer.concat(pieces);
}

const viewOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

/**
 * Follows text that arrives in pieces through several channels (the deltas of a streamed answer), where a
 * secret could be split so that no piece holds it.
 */
export class TextWatch {
  readonly #automaton: Automaton;
  /** Of the channels whose text ends with the beginning of a secret. */
  #states: Map<number, number> | undefined;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  /** True when a secret ends in `text`. */
  read(channel: number, text: string): boolean {
    const before = this.#states?.get(channel) ?? 0;
    const { state, found } = follow(this.#automaton, before, text);
    if (state !== before) this.#goOn(channel, state);
    return found;
  }

  /** The same of UTF-8 that stands in `bytes`. */
  readBytes(channel: number, bytes: Uint8Array, from: number, to: number): boolean {
    const automaton = this.#automaton;
    const { match } = automaton;
    const before = this.#states?.get(channel) ?? 0;
    let state = before;
    let found = false;
    for (let at = from; at < to; at++) {
      state = step(automaton, state, bytes[at] as number);
      if ((match[state] as number) > 0) found = true;
    }
    if (state !== before) this.#goOn(channel, state);
    return found;
  }

  #goOn(channel: number, state: number): void {
    this.#states ??= new Map();
    if (state === 0) this.#states.delete(channel);
    else this.#states.set(channel, state);
  }

  /** Bytes of the longest match that is under way in any channel. */
  get open(): number {
    let open = 0;
    if (this.#states && this.#states.size > 0)
      for (const state of this.#states.values()) open = Math.max(open, this.#automaton.depth[state] ?? 0);
    return open;
  }
}

/** Where the automaton is after `text`, and whether a secret ends in it. */
function follow(automaton: Automaton, from: number, text: string): { readonly state: number; readonly found: boolean } {
  return text.length > SHORT_CHARS
    ? followBytes(automaton, from, Buffer.from(text))
    : followText(automaton, from, text);
}

/** Up to here it costs less to look at each character than to make bytes of them. */
const SHORT_CHARS = 48;

function followText(automaton: Automaton, from: number, text: string): ReturnType<typeof follow> {
  const { match } = automaton;
  let state = from;
  let found = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // Up to here a character is its byte.
    if (code > 0x7f) return followBytes(automaton, from, Buffer.from(text));
    state = step(automaton, state, code);
    if ((match[state] as number) > 0) found = true;
  }
  return { state, found };
}

function followBytes(automaton: Automaton, from: number, bytes: Uint8Array): ReturnType<typeof follow> {
  const reader: Reader = { state: from };
  let found = false;
  for (let end = 0; (end = seek(automaton, reader, bytes, end)) >= 0;) found = true;
  return { state: reader.state, found };
}

/** True when neither a secret nor a beginning of one that says something is in a text of ASCII. */
export function isClean(automaton: Automaton, text: string): boolean {
  const { state, found } = follow(automaton, 0, text);
  return !found && (automaton.depth[state] ?? 0) < PATTERN_BYTES_MIN;
}
