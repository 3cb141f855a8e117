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
  const fields = { __proto__: null } as unknown as Fields;
  let count = 0;
  for (let at = from; at < text.length;) {
    const colon = tokenEnd(text, at);
    const end = text.indexOf("\r\n", colon);
    if (colon === at || text.charCodeAt(colon) !== COLON || end < 0 || ++count > countMax) return undefined;
    const name = text.slice(at, colon).toLowerCase();
    let first = colon + 1;
    let last = end;
    while (isBlank(text.charCodeAt(first))) first++;
    while (last > first && isBlank(text.charCodeAt(last - 1))) last--;
    if (!isFieldText(text, first, last)) return undefined;
    const value = text.slice(first, last);
    const before = fields[name];
    fields[name] = before === undefined ? value : typeof before === "string" ? [before, value] : [...before, value];
    at = end + 2;
  }
  return fields;
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB;

function isFieldText(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if ((code < SPACE && code !== TAB) || code === DELETE) return false;
  }
  return true;
}

/** One field line; throws for what would be read as more than one, or not at all. */
export function fieldLine(name: string, value: string | number): string {
  const text = String(value);
  if (name === "" || tokenEnd(name, 0) !== name.length) throw invalid(`\`${name.slice(0, 40)}\` is no name of a field`);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code < SPACE && code !== TAB) || code === DELETE || code > 0xff)
      throw invalid(`the field \`${name}\` holds a character that no field may hold`);
  }
  return `${name}: ${text}\r\n`;
}

/** The same text in one piece: where it was put together, each piece is visited whenever it is written. */
export const flat = (text: string): string => Buffer.from(text, "latin1").toString("latin1");

const invalid = (why: string): Error => Object.assign(new Error(why), { code: "ERR_INVALID_CHAR" });

/** A length as it is written by everybody; undefined for anything else. */
export const lengthOf = (value: string): number | undefined =>
  /^(?:0|[1-9][0-9]{0,14})$/.test(value) ? Number(value) : undefined;

export const HEAD_END = Buffer.from("\r\n\r\n");
export const headBytesMax = limits.door.headerBytesMax;
