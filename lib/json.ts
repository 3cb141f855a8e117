import { err, ok, type Result } from "./result.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * Strict JSON (RFC 8259 with the interoperable subset of RFC 7493): valid UTF-8, no duplicate names,
 * no `__proto__`, at most `depthMax` levels. What two parsers could read differently is refused here,
 * so that what was checked is what is forwarded. One pass over the text after `JSON.parse`.
 */
export function parseJson(bytes: Uint8Array, depthMax: number): Result<Json, string> {
  const read = readJsonText(bytes, depthMax, undefined);
  return read.ok ? ok(read.value.value) : read;
}

/** JSON with its text, so that parts of it can be exchanged and all else be sent as it was written. */
export interface JsonText<B extends Uint8Array = Uint8Array> {
  readonly value: Json;
  readonly text: string;
  /** What was read. */
  readonly bytes: B;
  /** Of the outermost object. */
  readonly members: readonly Member[];
  /** A number is written with an exponent: only then can the value, written anew, be longer than this text. */
  readonly exponents: boolean;
  /** Bytes of memory for all of this. `[{},{}]` takes 23 times what it is written with. */
  readonly weight: number;
}

/** Where in the text the value of a name stands, with the white space around it; `to`: of the character after it. */
export interface Member {
  readonly name: string;
  readonly from: number;
  to: number;
}

/** The same, and where the members of the outermost object are. */
export const parseJsonText = <B extends Uint8Array>(bytes: B, depthMax: number): Result<JsonText<B>, string> =>
  readJsonText(bytes, depthMax, []);

function readJsonText<B extends Uint8Array>(
  bytes: B,
  depthMax: number,
  members: Member[] | undefined,
): Result<JsonText<B>, string> {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return err("body is not valid UTF-8");
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return err("body is not valid JSON");
  }
  const { depth, names, exponents, partsBytes } = scan(text, depthMax, members);
  if (depth > depthMax) return err(`nested deeper than ${depthMax} levels`);
  const kept = namesIn(value);
  if (kept === REFUSED) return err("the name `__proto__` is refused");
  // Of those that an object has twice `JSON.parse` keeps one.
  if (kept !== names) return err("an object has the same name twice");
  // V8 has one byte for each character of a text, or two, and copies the strings in it.
  const textBytes = bytes.length === text.length ? text.length : 2 * text.length;
  const weight = bytes.length + 2 * textBytes + partsBytes;
  return ok({ value, text, bytes, members: members ?? NO_MEMBERS, exponents, weight });
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NO_MEMBERS: readonly Member[] = [];

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x7b, 0x7d, 0x5b, 0x5d];
const [SMALL_E, LARGE_E] = [0x65, 0x45];

interface Scanned {
  /** The levels of what was read: more than `depthMax` end the scan. */
  readonly depth: number;
  /** In all objects, as they are written. */
  readonly names: number;
  readonly exponents: boolean;
  /** Of memory for what is no text in it. */
  readonly partsBytes: number;
}

/** What V8 takes for one of each, as measured (`lib/json.test.ts`); a name can make a shape of objects that no other has. */
const [CONTAINER_BYTES, NAME_BYTES, STRING_BYTES, ITEM_BYTES] = [64, 160, 32, 8];

/** `text` is known to be valid JSON; finds what `JSON.parse` lets pass, and adds where the outermost members are. */
function scan(text: string, depthMax: number, members: Member[] | undefined): Scanned {
  /** Of each level whether it is an object. */
  const open: boolean[] = [];
  let names = 0;
  let nameExpected = false;
  let member: Member | undefined;
  let exponents = false;
  let partsBytes = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) {
      const start = i;
      i = endOfString(text, start);
      partsBytes += STRING_BYTES;
      if (!nameExpected) continue;
      nameExpected = false;
      names++;
      partsBytes += NAME_BYTES;
      if (!members || open.length > 1) continue;
      member = { name: nameIn(text, start, i), from: text.indexOf(":", i) + 1, to: 0 };
      members.push(member);
    } else if (char === BRACE || char === BRACKET) {
      nameExpected = char === BRACE;
      partsBytes += CONTAINER_BYTES;
      if (open.push(nameExpected) > depthMax) break;
    } else if (char === BRACE_END || char === BRACKET_END) {
      open.pop();
      nameExpected = false;
      if (member && open.length === 0) member.to = i;
    } else if (char === COMMA) {
      nameExpected = open[open.length - 1] === true;
      partsBytes += ITEM_BYTES;
      if (member && open.length === 1) member.to = i;
    } else if ((char === SMALL_E || char === LARGE_E) && isDigit(text.charCodeAt(i - 1))) {
      exponents = true;
    }
  }
  return { depth: open.length, names, exponents, partsBytes };
}

const REFUSED = -Infinity;

/** How many names all objects in `value` have, which is no deeper than was allowed; `REFUSED`: one has `__proto__`. */
function namesIn(value: Json): number {
  if (typeof value !== "object" || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) count += namesIn(item);
    return count;
  }
  const fields = value as { readonly [key: string]: Json };
  for (const name in fields) {
    if (name === "__proto__") return REFUSED;
    count += 1 + namesIn(fields[name] as Json);
  }
  return count;
}

const isDigit = (char: number): boolean => char >= 0x30 && char <= 0x39;

/** Where the string that begins at `start` ends: at a quote with an even number of backslashes before it. */
function endOfString(text: string, start: number): number {
  for (let from = start + 1; ;) {
    const end = text.indexOf('"', from);
    let before = end;
    while (before > from && text.charCodeAt(before - 1) === BACKSLASH) before--;
    if ((end - before) % 2 === 0) return end;
    from = end + 1;
  }
}

function nameIn(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  return raw.includes("\\") ? (JSON.parse(text.slice(start, end + 1)) as string) : raw;
}

/** JSON with names in code-unit order and no white space: the same value always gives the same bytes. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields = value as { readonly [key: string]: Json };
  let text = "";
  for (const name of Object.keys(fields).sort())
    text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${canonicalJson(fields[name] as Json)}`;
  return `{${text}}`;
}
