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
    const { next, depth, match, placeholder } = this.#automaton;
    const held = this.#held.length;
    const input = held > 0 ? Buffer.concat([this.#held, chunk]) : viewOf(chunk);
    let out: Buffer[] | undefined;
    let from = 0;
    let state = this.#state;
    for (let i = held; i < input.length; i++) {
      state = next[(state << 8) | (input[i] ?? 0)] ?? 0;
      const length = match[state] ?? 0;
      if (length > 0) {
        out ??= [];
        // A match that begins in what was just replaced (one secret begins another) makes that longer.
        if (i + 1 - length >= from) {
          out.push(input.subarray(from, i + 1 - length), placeholder);
          this.hits++;
        }
        from = i + 1;
      }
    }
    this.#state = state;
    const hold = Math.min(depth[state] ?? 0, input.length - from);
    const end = input.length - hold;
    this.#held = hold > 0 ? Buffer.from(input.subarray(end)) : NOTHING;
    const rest = from === 0 && hold === 0 ? input : input.subarray(from, end);
    return out ? Buffer.concat([...out, rest]) : rest;
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
    const { next, match } = this.#automaton;
    const before = this.#states.get(channel) ?? 0;
    const bytes = Buffer.from(text);
    let state = before;
    let found = false;
    for (let i = 0; i < bytes.length; i++) {
      state = next[(state << 8) | (bytes[i] ?? 0)] ?? 0;
      if (match[state]) found = true;
    }
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

export interface Automaton {
  /** state << 8 | byte → state. */
  readonly next: Int32Array;
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
  return { next, depth, match, placeholder: Buffer.from(placeholder) };
}

/** Shorter patterns would hit ordinary text. */
export const PATTERN_BYTES_MIN = 8;
