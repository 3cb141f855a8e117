import { disguisesOf } from "./disguises.ts";

/** Finds any of many patterns in one pass (Aho & Corasick 1975, over bytes). */
export interface Automaton {
  /** state << 8 | byte → state. */
  readonly next: Int32Array;
  readonly depth: Int32Array;
  /** Length of the longest pattern that ends in the state, or 0. */
  readonly match: Int32Array;
  /** One bit for each two bytes that stand beside each other in a pattern, by first << 8 | second. */
  readonly pairs: Uint8Array;
  /** Length of the shortest pattern; Infinity where there is none. */
  readonly shortest: number;
  readonly placeholder: Buffer;
}

/** Where in an automaton a reader is. */
export interface Reader {
  state: number;
}

/** Shorter patterns would hit ordinary text. */
export const PATTERN_BYTES_MIN = 8;

/** Compiles the automaton for `secrets` in every form in which a server could reflect them. */
export function compileScrubber(secrets: readonly Uint8Array[], placeholder: string): Automaton {
  const patterns = secrets
    .flatMap((secret) => disguisesOf(secret))
    .filter((pattern) => pattern.length >= PATTERN_BYTES_MIN);
  const size = patterns.reduce((sum, pattern) => sum + pattern.length, 1);
  const next = new Int32Array(size << 8);
  const depth = new Int32Array(size);
  const match = new Int32Array(size);
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
  link(next, match);
  const shortest = Math.min(...patterns.map(({ length }) => length));
  return { next, depth, match, pairs: pairsOf(patterns), shortest, placeholder: Buffer.from(placeholder) };
}

/** Breadth first: the failure state of a child is what its parent's failure state does with the same byte. */
function link(next: Int32Array, match: Int32Array): void {
  const fail = new Int32Array(match.length);
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
}

function pairsOf(patterns: readonly Uint8Array[]): Uint8Array {
  const pairs = new Uint8Array(1 << 13);
  for (const pattern of patterns)
    for (let at = 1; at < pattern.length; at++) {
      const pair = ((pattern[at - 1] ?? 0) << 8) | (pattern[at] ?? 0);
      pairs[pair >> 3] = (pairs[pair >> 3] ?? 0) | (1 << (pair & 7));
    }
  return pairs;
}

/**
 * Reads `input` from `from` on; returns the offset after the next match, or -1 when all was read. Of text that has
 * nothing of a pattern only some places are looked at (after Wu & Manber 1994): whatever match begins within the next
 * `shortest - 1` bytes, each two bytes at its beginning are a pair of a pattern, so one place tells of all of them.
 */
export function seek(automaton: Automaton, reader: Reader, input: Uint8Array, from: number): number {
  const { next, depth, match, pairs, shortest } = automaton;
  const end = input.length;
  const reach = shortest - 2;
  let { state } = reader;
  let at = from;
  /** Up to here each byte is read: where a match is open, its first byte may not be in `input`. */
  let until = state === 0 ? from : from + 1;
  for (;;) {
    while (at < end && (at < until || (depth[state] as number) > 1)) {
      state = next[(state << 8) | (input[at++] as number)] as number;
      if ((match[state] as number) > 0) {
        reader.state = state;
        return at;
      }
    }
    if (at >= end) break;
    // Here a match that is under way has one byte at most; it, or any later one, begins at `begin` or after.
    const begin = at - (depth[state] as number);
    let place = begin + reach;
    let last = begin;
    while (place + 1 < end) {
      const pair = ((input[place] as number) << 8) | (input[place + 1] as number);
      if (((pairs[pair >> 3] as number) >> (pair & 7)) & 1) break;
      last = place + 1;
      place += reach + 1;
    }
    // No match goes over a place that is no pair: what is before the last one in a row is nobody's.
    until = Math.min(place + 2, end);
    let start = until - 1;
    while (start > last) {
      const pair = ((input[start - 1] as number) << 8) | (input[start] as number);
      if ((((pairs[pair >> 3] as number) >> (pair & 7)) & 1) === 0) break;
      start--;
    }
    if (start > begin) {
      state = 0;
      at = start;
    }
  }
  reader.state = state;
  return -1;
}
