import { err, ok, type Result } from "../../../../lib/result.ts";

/** A piece of SQL: an unquoted word in lower case, a quoted name as it stands, a text, or any other character. */
export interface Token {
  readonly kind: "word" | "name" | "text" | "sign";
  readonly text: string;
}

const SPACE = /[\t\n\v\f\r ]+/y;
const LINE_COMMENT = /--[^\n\r]*/y;
const WORD = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y;
/** Digits alone: before version 15 a server reads `1e'…'` as a number and a text with escapes. */
const NUMBER = /\$?[0-9]+/y;
const DOLLAR = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;

/**
 * Splits SQL as PostgreSQL does (section 4.1) with `standard_conforming_strings` on. It is no parser: it tells words from what
 * stands in texts and comments. What is left open, or would need a second reading, is an error.
 */
export function tokensOf(sql: string): Result<readonly Token[], string> {
  const tokens: Token[] = [];
  let at = 0;
  /** The last token was a text with escapes. */
  let escaped = false;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(sql)?.[0];
  };
  while (at < sql.length) {
    const blank = match(SPACE) ?? match(LINE_COMMENT);
    if (blank !== undefined) {
      at += blank.length;
      continue;
    }
    if (sql.startsWith("/*", at)) {
      at = afterComment(sql, at);
      if (at < 0) return err("a comment has no end");
      continue;
    }
    const char = sql[at] ?? "";
    // Section 4.1.2.2: on a further line a text goes on, and its escapes with it.
    if (escaped && char === "'") return err("a text with escapes in two pieces: write it in one");
    escaped = false;
    const dollar = match(DOLLAR);
    const word = dollar === undefined ? match(WORD) : undefined;
    if (dollar !== undefined) {
      const end = sql.indexOf(dollar, at + dollar.length);
      if (end < 0) return err("a text has no end");
      tokens.push({ kind: "text", text: sql.slice(at + dollar.length, end) });
      at = end + dollar.length;
    } else if (
      char === "'" ||
      char === '"' ||
      (word !== undefined && /^(?:[ebxn]|u&)$/i.test(prefixOf(word, sql, at)))
    ) {
      const prefix = char === "'" || char === '"' ? "" : prefixOf(word ?? "", sql, at);
      const quote = sql[at + prefix.length] ?? "";
      if (prefix.includes("&") && quote === '"') return err("a name with escapes: write it without them");
      const read = quoted(sql, at + prefix.length, quote, /^e$/i.test(prefix));
      if (!read) return err(quote === "'" ? "a text has no end" : "a name has no end");
      tokens.push({ kind: quote === "'" ? "text" : "name", text: read.text });
      at = read.next;
      escaped = /^e$/i.test(prefix);
    } else {
      const piece = word ?? match(NUMBER) ?? char;
      tokens.push(word === undefined ? { kind: "sign", text: piece } : { kind: "word", text: piece.toLowerCase() });
      at += piece.length;
    }
  }
  return ok(tokens);
}

/** `e`, `b`, `x`, `n` or `u&` right before a quote, else "". */
function prefixOf(word: string, sql: string, at: number): string {
  const next = sql[at + word.length];
  if (/^[ebxn]$/i.test(word) && next === "'") return word;
  const quote = sql[at + word.length + 1];
  return /^u$/i.test(word) && next === "&" && (quote === "'" || quote === '"') ? `${word}&` : "";
}

/** Comments nest (section 4.1.5). Negative: without an end. */
function afterComment(sql: string, from: number): number {
  let depth = 0;
  for (let at = from; at < sql.length; at++) {
    const pair = sql.slice(at, at + 2);
    if (pair !== "/*" && pair !== "*/") continue;
    depth += pair === "/*" ? 1 : -1;
    at++;
    if (depth === 0) return at + 1;
  }
  return -1;
}

function quoted(
  sql: string,
  from: number,
  quote: string,
  escapes: boolean,
): { readonly text: string; readonly next: number } | undefined {
  for (let at = from + 1; at < sql.length; at++) {
    if (escapes && sql[at] === "\\") at++;
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return { text: sql.slice(from + 1, at), next: at + 1 };
      at++;
    }
  }
  return undefined;
}
