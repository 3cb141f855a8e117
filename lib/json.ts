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
export interface JsonText {
  readonly value: Json;
  readonly text: string;
  /** Of the outermost object: where in the text the value of each name stands, with the white space around it. */
  readonly members: ReadonlyMap<string, Span>;
  /** A number is written with an exponent: only then can the value, written anew, be longer than this text. */
  readonly exponents: boolean;
}

export interface Span {
  readonly from: number;
  /** Of the character after it. */
  readonly to: number;
}

/** The same, and where the members of the outermost object are. */
export const parseJsonText = (bytes: Uint8Array, depthMax: number): Result<JsonText, string> =>
  readJsonText(bytes, depthMax, new Map());

const NO_MEMBERS: ReadonlyMap<string, Span> = new Map();

function readJsonText(
  bytes: Uint8Array,
  depthMax: number,
  members: Map<string, Span> | undefined,
): Result<JsonText, string> {
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
  const found = scan(text, depthMax, members);
  return typeof found === "string" ? err(found) : ok({ value, text, members: members ?? NO_MEMBERS, ...found });
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x7b, 0x7d, 0x5b, 0x5d];
const [SMALL_E, LARGE_E] = [0x65, 0x45];

/** `text` is known to be valid JSON; finds what `JSON.parse` lets pass, and tells where the outermost members are. */
function scan(
  text: string,
  depthMax: number,
  members: Map<string, Span> | undefined,
): string | Pick<JsonText, "exponents"> {
  // One entry a level: the names seen in an object, or undefined for an array.
  const open: (Names | undefined)[] = [];
  let nameExpected = false;
  let member: string | undefined;
  let from = 0;
  let exponents = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) {
      const start = i;
      i = endOfString(text, start);
      const names = nameExpected ? open.at(-1) : undefined;
      if (names) {
        const name = nameIn(text, start, i);
        if (name.length === PROTO.length && name === PROTO) return "the name `__proto__` is refused";
        if (!names.add(name)) return "an object has the same name twice";
        nameExpected = false;
        if (members && open.length === 1) {
          member = name;
          from = text.indexOf(":", i) + 1;
        }
      }
    } else if (char === BRACE || char === BRACKET) {
      if (open.length >= depthMax) return `nested deeper than ${depthMax} levels`;
      open.push(char === BRACE ? new Names() : undefined);
      nameExpected = char === BRACE;
    } else if (char === BRACE_END || char === BRACKET_END) {
      open.pop();
      nameExpected = false;
      if (member !== undefined && open.length === 0) members?.set(member, { from, to: i });
    } else if (char === COMMA) {
      nameExpected = open.at(-1) !== undefined;
      if (member !== undefined && open.length === 1) members?.set(member, { from, to: i });
    } else if ((char === SMALL_E || char === LARGE_E) && isDigit(text.charCodeAt(i - 1))) {
      exponents = true;
    }
  }
  return { exponents };
}

const PROTO = "__proto__";
/** Up to here names are compared with each other: most objects have few, and a set of them costs more than to read them. */
const FEW = 8;

/** The names of one object. */
class Names {
  readonly #few: string[] = [];
  #many: Set<string> | undefined;

  /** False for one that is there already. */
  add(name: string): boolean {
    if (this.#many?.has(name) || this.#few.includes(name)) return false;
    if (this.#many) this.#many.add(name);
    else if (this.#few.push(name) === FEW) this.#many = new Set();
    return true;
  }
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
