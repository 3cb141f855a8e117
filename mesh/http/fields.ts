import { limits } from "../../protocol/limits.ts";

/** Names in lower case; what stands there more than once is a list. Has no prototype. */
export type Fields = Record<string, string | string[]>;

/** Characters of a token (RFC 9110 §5.6.2). */
const TOKEN = new Uint8Array(128);
for (const char of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  TOKEN[char.charCodeAt(0)] = 1;

const COLON = 0x3a;
const SPACE = 0x20;
const TAB = 0x09;
const DELETE = 0x7f;

/** How far a token reaches that begins at `from`. */
export function tokenEnd(text: string, from: number): number {
  let at = from;
  // Beyond the table, and beyond the text, there is no entry.
  while (TOKEN[text.charCodeAt(at)] === 1) at++;
  return at;
}

/**
 * The field lines (RFC 9112 §5) of `text`, a head in Latin-1 whose every line ends with CR LF, from `from` on.
 * Undefined for what anybody could read in another way: a folded line, a space before the colon, a control character.
 */
export function readFields(text: string, from: number, countMax: number): Fields | undefined {
  const fields = noFields();
  let count = 0;
  for (let at = from; at < text.length;) {
    const line = ++count > countMax ? undefined : readLine(text, at);
    if (!line) return undefined;
    addField(fields, line.name, line.value);
    at = line.end;
  }
  return fields;
}

export const noFields = (): Fields => ({ __proto__: null }) as unknown as Fields;

export function addField(fields: Fields, name: string, value: string): void {
  const before = fields[name];
  fields[name] = before === undefined ? value : typeof before === "string" ? [before, value] : [...before, value];
}

interface Line {
  readonly name: string;
  readonly value: string;
  /** The offset after it. */
  readonly end: number;
}

/** One line of them. `known` is the name of the field in lower case, where it is known to stand there, before a colon. */
export function readLine(text: string, from: number, known?: string): Line | undefined {
  const colon = known === undefined ? tokenEnd(text, from) : from + known.length;
  const lineEnd = text.indexOf("\r\n", colon);
  if (colon === from || text.charCodeAt(colon) !== COLON || lineEnd < 0) return undefined;
  let first = colon + 1;
  let last = lineEnd;
  while (isBlank(text.charCodeAt(first))) first++;
  while (last > first && isBlank(text.charCodeAt(last - 1))) last--;
  if (!isFieldText(text, first, last)) return undefined;
  const name = known ?? text.slice(from, colon).toLowerCase();
  return { name, value: text.slice(first, last), end: lineEnd + 2 };
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB;

function isFieldText(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if ((code < SPACE && code !== TAB) || code === DELETE) return false;
  }
  return true;
}

/** What a field may hold, in Latin-1. */
const WRITABLE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** One field line; throws for what would be read as more than one, or not at all. */
export function fieldLine(name: string, value: string | number): string {
  const text = String(value);
  if (name === "" || tokenEnd(name, 0) !== name.length) throw invalid(`\`${name.slice(0, 40)}\` is no name of a field`);
  if (!WRITABLE.test(text)) throw invalid(`the field \`${name}\` holds a character that no field may hold`);
  return `${name}: ${text}\r\n`;
}

/** The same text in one piece: where it was put together, each piece is visited whenever it is written. */
export const flat = (text: string): string => Buffer.from(text, "latin1").toString("latin1");

const invalid = (why: string): Error => Object.assign(new Error(why), { code: "ERR_INVALID_CHAR" });

const ZERO = 0x30;
const NINE = 0x39;
const LENGTH_DIGITS_MAX = 15;

/** A length as it is written by everybody; undefined for anything else. */
export function lengthOf(value: string): number | undefined {
  if (value === "" || value.length > LENGTH_DIGITS_MAX) return undefined;
  if (value.length > 1 && value.charCodeAt(0) === ZERO) return undefined;
  let length = 0;
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code < ZERO || code > NINE) return undefined;
    length = length * 10 + code - ZERO;
  }
  return length;
}

export const HEAD_END = "\r\n\r\n";
export const headBytesMax = limits.door.headerBytesMax;

const CR = 0x0d;
const LF = 0x0a;

/**
 * Where the first `HEAD_END` from `from` on begins, if that is no later than `most` bytes after it; or -1. Looks at one
 * byte of four (Horspool): nearly none of a head are in `HEAD_END`.
 */
export function headEnd(bytes: Buffer, most: number, from = 0): number {
  const end = Math.min(bytes.length, from + most + HEAD_END.length);
  for (let at = from + HEAD_END.length - 1; at < end;) {
    const byte = bytes[at];
    if (byte === LF && bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) return at - 3;
    at += byte === LF ? 2 : byte === CR ? 1 : HEAD_END.length;
  }
  return -1;
}
