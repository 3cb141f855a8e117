import { disguisesOf } from "./disguises.ts";

/**
 * Replaces secrets in a byte stream by a placeholder, across chunk borders, in one linear pass
 * (Aho & Corasick 1975, over bytes). Bytes are held back only while they could still begin a secret.
 */
export class Scrubber {
  readonly #automaton: Automaton;
  #state = 0;
  /** The bytes of the match that is open: as many as the depth of the state. */
  #held: Buffer = NOTHING;
  /** Occurrences replaced so far. */
  hits = 0;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  /** The bytes that are safe to pass on. */
  push(chunk: Uint8Array): Buffer {
    const { depth, match, placeholder } = this.#automaton;
    const held = this.#held.length;
    const input = held > 0 ? Buffer.concat([this.#held, chunk]) : viewOf(chunk);
    let out: Buffer[] | undefined;
    let from = 0;
    for (let end = held; (end = this.#nextMatch(input, end)) >= 0;) {
      out ??= [];
      // A match that begins in what was just replaced (one secret begins another) makes that longer.
      const first = end - (match[this.#state] ?? 0);
      if (first >= from) {
        out.push(input.subarray(from, first), placeholder);
        this.hits++;
      }
      from = end;
    }
    const hold = Math.min(depth[this.#state] ?? 0, input.length - from);
    const end = input.length - hold;
    this.#held = hold > 0 ? Buffer.from(input.subarray(end)) : NOTHING;
    const rest = from === 0 && hold === 0 ? input : input.subarray(from, end);
    return out ? Buffer.concat([...out, rest]) : rest;
  }

  /** The offset after the next match from `from` on, or -1. The loop that every byte of every answer goes through. */
  #nextMatch(input: Buffer, from: number): number {
    const { next, starts, match } = this.#automaton;
    const end = input.length;
    let state = this.#state;
    for (let at = from; at < end; at++) {
      const byte = input[at] as number;
      // Most bytes begin nothing.
      if (state === 0 && starts[byte] === 0) continue;
      state = next[(state << 8) | byte] as number;
      if ((match[state] as number) > 0) {
        this.#state = state;
        return at + 1;
      }
    }
    this.#state = state;
    return -1;
  }

  /** The rest, once the stream has ended. A long beginning of a secret is no coincidence, so it is replaced, too. */
  end(): Buffer {
    const rest = this.#held.length >= PATTERN_BYTES_MIN ? this.#automaton.placeholder : this.#held;
    this.#held = NOTHING;
    this.#state = 0;
    return rest;
  }
}

const NOTHING = Buffer.alloc(0);
const viewOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

/**
 * Follows text that arrives in pieces through several channels (the deltas of a streamed answer), where a
 * secret could be split so that no piece holds it.
 */
export class TextWatch {
  readonly #automaton: Automaton;
  readonly #states = new Map<number, number>();

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  /** True when a secret ends in `text`. */
  read(channel: number, text: string): boolean {
    const before = this.#states.get(channel) ?? 0;
    const { state, found } = follow(this.#automaton, before, text);
    if (state !== before || !this.#states.has(channel)) this.#states.set(channel, state);
    return found;
  }

  /** Bytes of the longest match that is under way in any channel. */
  get open(): number {
    let open = 0;
    for (const state of this.#states.values()) open = Math.max(open, this.#automaton.depth[state] ?? 0);
    return open;
  }
}

/** Where the automaton is after `text`, and whether a secret ends in it. */
function follow(automaton: Automaton, from: number, text: string): { readonly state: number; readonly found: boolean } {
  const { next, starts, match } = automaton;
  let state = from;
  let found = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // Up to here a character is its byte.
    if (code > 0x7f) return followBytes(automaton, from, Buffer.from(text));
    if (state === 0 && starts[code] === 0) continue;
    state = next[(state << 8) | code] ?? 0;
    if ((match[state] ?? 0) > 0) found = true;
  }
  return { state, found };
}

function followBytes({ next, match }: Automaton, from: number, bytes: Uint8Array): ReturnType<typeof follow> {
  let state = from;
  let found = false;
  for (const byte of bytes) {
    state = next[(state << 8) | byte] ?? 0;
    if ((match[state] ?? 0) > 0) found = true;
  }
  return { state, found };
}

/** True when neither a secret nor a beginning of one that says something is in a text of ASCII. */
export function isClean(automaton: Automaton, text: string): boolean {
  const { state, found } = follow(automaton, 0, text);
  return !found && (automaton.depth[state] ?? 0) < PATTERN_BYTES_MIN;
}

export interface Automaton {
  /** state << 8 | byte → state. */
  readonly next: Int32Array;
  /** 1 for a byte with which a pattern begins. */
  readonly starts: Uint8Array;
  readonly depth: Int32Array;
  /** Length of the longest pattern that ends in the state, or 0. */
  readonly match: Int32Array;
  readonly placeholder: Buffer;
}

/** Compiles the automaton for `secrets` in every form in which a server could reflect them. */
export function compileScrubber(secrets: readonly Uint8Array[], placeholder: string): Automaton {
  const patterns = secrets
    .flatMap((secret) => disguisesOf(secret))
    .filter((pattern) => pattern.length >= PATTERN_BYTES_MIN);
  const size = patterns.reduce((sum, pattern) => sum + pattern.length, 1);
  const next = new Int32Array(size << 8);
  const depth = new Int32Array(size);
  const match = new Int32Array(size);
  const fail = new Int32Array(size);
  let states = 1;
  for (const pattern of patterns) {
    let state = 0;
    for (const byte of pattern) {
      const slot = (state << 8) | byte;
      if (next[slot] === 0) {
        depth[states] = (depth[state] ?? 0) + 1;
        next[slot] = states++;
      }
      state = next[slot] ?? 0;
    }
    match[state] = pattern.length;
  }
  // Breadth first: the failure state of a child is what its parent's failure state does with the same byte.
  const queue: number[] = [];
  for (let byte = 0; byte < 256; byte++) if (next[byte]) queue.push(next[byte] ?? 0);
  for (let head = 0; head < queue.length; head++) {
    const state = queue[head] ?? 0;
    const back = fail[state] ?? 0;
    match[state] ||= match[back] ?? 0;
    for (let byte = 0; byte < 256; byte++) {
      const slot = (state << 8) | byte;
      const child = next[slot] ?? 0;
      const other = next[(back << 8) | byte] ?? 0;
      if (child === 0) next[slot] = other;
      else {
        fail[child] = other;
        queue.push(child);
      }
    }
  }
  const starts = Uint8Array.from({ length: 256 }, (_, byte) => (next[byte] ? 1 : 0));
  return { next, starts, depth, match, placeholder: Buffer.from(placeholder) };
}

/** Shorter patterns would hit ordinary text. */
export const PATTERN_BYTES_MIN = 8;
