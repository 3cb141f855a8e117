import { disguisesOf } from "./disguises.ts";

/**
 * Finds any of many patterns in one pass (Aho & Corasick 1975, over bytes). A secret has many disguises, and most states
 * of them lead on with one byte: a table of all bytes for each state would take a hundred thousand times what a secret does.
 */
export interface Automaton {
  /** Of a state from which several bytes lead on, where all bytes lead: row << 8 | byte → state. */
  readonly rows: Int32Array;
  /** state → its row, or -1. */
  readonly row: Int32Array;
  /** Of a state without a row: the byte that leads on, and where to; 0: none does. */
  readonly byte: Uint8Array;
  readonly child: Int32Array;
  /** Where any other byte is looked at: the longest beginning of a pattern that the state's own text ends with. */
  readonly fail: Int32Array;
  readonly depth: Int32Array;
  /** Length of the longest pattern that ends in the state, or 0. */
  readonly match: Int32Array;
  /** One bit for each two bytes that stand beside each other in a pattern, by first << 8 | second. */
  readonly pairs: Uint8Array;
  /** Length of the shortest pattern; Infinity where there is none. */
  readonly shortest: number;
  readonly placeholder: Buffer;
}

/** The state after `next`. A way back has as many steps as bytes have led there, at most. */
export function step(automaton: Automaton, state: number, next: number): number {
  // Most bytes begin nothing.
  return state === 0 ? (automaton.rows[next] as number) : stepFrom(automaton, state, next);
}

function stepFrom({ rows, row, byte, child, fail }: Automaton, from: number, next: number): number {
  for (let state = from; ; state = fail[state] as number) {
    const at = row[state] as number;
    if (at >= 0) return rows[(at << 8) | next] as number;
    if (byte[state] === next && (child[state] as number) > 0) return child[state] as number;
  }
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
  const trie = trieOf(patterns);
  const shortest = Math.min(...patterns.map(({ length }) => length));
  const automaton = { ...trie, pairs: pairsOf(patterns), shortest, placeholder: Buffer.from(placeholder) };
  link(automaton);
  return automaton;
}

type Trie = Omit<Automaton, "pairs" | "shortest" | "placeholder">;

/** Without its ways back. */
function trieOf(patterns: readonly Uint8Array[]): Trie {
  const size = patterns.reduce((sum, pattern) => sum + pattern.length, 1);
  const row = new Int32Array(size).fill(-1);
  const [byte, child, fail] = [new Uint8Array(size), new Int32Array(size), new Int32Array(size)];
  const [depth, match] = [new Int32Array(size), new Int32Array(size)];
  // A pattern leaves the others once.
  const rows = new Int32Array((patterns.length + 1) << 8);
  let rowsTaken = 1;
  row[0] = 0;
  let states = 1;
  for (const pattern of patterns) {
    let state = 0;
    for (const next of pattern) {
      let to = 0;
      if ((row[state] ?? -1) < 0) {
        const only = child[state] ?? 0;
        if (only === 0) byte[state] = next;
        else if (byte[state] === next) to = only;
        else {
          row[state] = rowsTaken++;
          rows[((row[state] ?? 0) << 8) | (byte[state] ?? 0)] = only;
        }
      }
      const at = row[state] ?? -1;
      if (at >= 0) to = rows[(at << 8) | next] ?? 0;
      if (to === 0) {
        to = states++;
        depth[to] = (depth[state] ?? 0) + 1;
        if (at >= 0) rows[(at << 8) | next] = to;
        else child[state] = to;
      }
      state = to;
    }
    match[state] = pattern.length;
  }
  return { rows, row, byte, child, fail, depth, match };
}

/** Breadth first: the failure state of a child is what its parent's failure state does with the same byte. */
function link(automaton: Automaton): void {
  const { rows, row, byte, child, fail, match } = automaton;
  const queue = new Int32Array(match.length);
  let queued = 1;
  const found = (to: number, back: number): void => {
    fail[to] = back;
    match[to] ||= match[back] ?? 0;
    queue[queued++] = to;
  };
  for (let head = 0; head < queued; head++) {
    const state = queue[head] ?? 0;
    const other = (next: number): number => (state === 0 ? 0 : step(automaton, fail[state] ?? 0, next));
    const at = row[state] ?? -1;
    const only = child[state] ?? 0;
    if (at < 0) {
      if (only > 0) found(only, other(byte[state] ?? 0));
      continue;
    }
    for (let next = 0; next < 256; next++) {
      const slot = (at << 8) | next;
      const to = rows[slot] ?? 0;
      if (to === 0) rows[slot] = other(next);
      else found(to, other(next));
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
  const { depth, match, pairs, shortest } = automaton;
  const end = input.length;
  const reach = shortest - 2;
  let { state } = reader;
  let at = from;
  /** Up to here each byte is read: where a match is open, its first byte may not be in `input`. */
  let until = state === 0 ? from : from + 1;
  for (;;) {
    while (at < end && (at < until || (depth[state] as number) > 1)) {
      state = step(automaton, state, input[at++] as number);
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
