import { err, ok, type Result } from "./result.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * Strict JSON (RFC 8259 with the interoperable subset of RFC 7493): valid UTF-8, no duplicate names,
 * no `__proto__`, at most `depthMax` levels. What two parsers could read differently is refused here,
 * so that what was checked is what is forwarded. One pass over the text after `JSON.parse`.
 */
export function parseJson(bytes: Uint8Array, depthMax: number): Result<Json, string> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return err("body is not valid UTF-8");
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return err("body is not valid JSON");
  }
  const fault = scan(text, depthMax);
  return fault === undefined ? ok(value) : err(fault);
}

/** `text` is known to be valid JSON; finds what `JSON.parse` lets pass. */
function scan(text: string, depthMax: number): string | undefined {
  // One entry a level: the names seen in an object, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let nameExpected = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === "\\") i++;
      const names = open.at(-1);
      if (nameExpected && names) {
        const name = JSON.parse(text.slice(start, i + 1)) as string;
        if (name === "__proto__") return "the name `__proto__` is refused";
        if (names.has(name)) return "an object has the same name twice";
        names.add(name);
        nameExpected = false;
      }
    } else if (char === "{" || char === "[") {
      if (open.length >= depthMax) return `nested deeper than ${depthMax} levels`;
      open.push(char === "{" ? new Set() : undefined);
      nameExpected = char === "{";
    } else if (char === "}" || char === "]") {
      open.pop();
      nameExpected = false;
    } else if (char === ",") {
      nameExpected = open.at(-1) !== undefined;
    }
  }
  return undefined;
}

/** JSON with names in code-unit order and no white space: the same value always gives the same bytes. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const entries = Object.entries(value as { readonly [key: string]: Json });
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, item]) => `${JSON.stringify(name)}:${canonicalJson(item)}`).join(",")}}`;
}
