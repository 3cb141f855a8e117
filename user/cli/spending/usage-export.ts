import { z } from "zod";
import { parseJson } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";

/**
 * What a provider says was used, one line a day and model. CSV with these names in its first line, in any order, or a
 * JSON array of objects with them:
 *
 *   date (YYYY-MM-DD), provider, model, input_tokens, output_tokens, cost_usd; and if known cache_read_tokens,
 *   cache_write_tokens, requests
 *
 * Providers name their columns each in their own way: rename them before.
 */
export interface UsageLine {
  readonly day: string;
  /** `provider/model`. */
  readonly model: string;
  readonly calls: number | null;
  /** Input with that of the cache, and output. */
  readonly tokens: number;
  readonly microUsd: number;
}

export const usageFileBytesMax = 16 * 1024 * 1024;
const LINES_MAX = 100_000;

const count = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const Line = z.strictObject({
  date: z.string().regex(/^\d{4}-\d\d-\d\d$/, "must be a day like `2026-11-22`"),
  provider: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, "must be the name of a provider"),
  model: z.string().min(1).max(190),
  ...{ input_tokens: count, output_tokens: count },
  cost_usd: z.coerce.number().min(0).max(1e9),
  ...{ cache_read_tokens: count.optional(), cache_write_tokens: count.optional(), requests: count.optional() },
});

/** The fault names the line. */
export function readUsageExport(bytes: Uint8Array): Result<UsageLine[], string> {
  if (bytes.length > usageFileBytesMax) return err(`it has more than ${usageFileBytesMax} bytes`);
  const text = new TextDecoder().decode(bytes).replace(/^\ufeff/, "");
  const read = text.trimStart().startsWith("[") ? fromJson(bytes) : fromCsv(text);
  if (!read.ok) return read;
  if (read.value.length > LINES_MAX) return err(`it has more than ${LINES_MAX} lines`);
  const lines: UsageLine[] = [];
  for (const [index, given] of read.value.entries()) {
    const line = Line.safeParse(given);
    if (!line.success) {
      const [issue] = line.error.issues;
      return err(`entry ${index + 1}, \`${(issue?.path ?? []).join(".")}\`: ${issue?.message ?? "is not understood"}`);
    }
    const { date, provider, model, input_tokens, output_tokens, cost_usd, requests, ...cache } = line.data;
    const cached = (cache.cache_read_tokens ?? 0) + (cache.cache_write_tokens ?? 0);
    lines.push({
      ...{ day: date, model: `${provider}/${model}`, calls: requests ?? null },
      tokens: input_tokens + cached + output_tokens,
      microUsd: Math.round(cost_usd * 1e6),
    });
  }
  return ok(lines);
}

function fromJson(bytes: Uint8Array): Result<readonly unknown[], string> {
  const json = parseJson(bytes, 4);
  if (!json.ok) return err(`it is not JSON: ${json.error}`);
  return Array.isArray(json.value) ? ok(json.value as unknown[]) : err("it is no list");
}

/** RFC 4180 without line breaks inside of cells, which no column here has. */
function fromCsv(text: string): Result<readonly unknown[], string> {
  const [head, ...rest] = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (head === undefined) return err("it is empty");
  const names = cellsOf(head);
  if (!names) return err("its first line is no CSV");
  const lines: unknown[] = [];
  for (const [index, line] of rest.entries()) {
    const cells = cellsOf(line);
    if (cells?.length !== names.length) return err(`entry ${index + 1} has not as many cells as the first line`);
    const filled = names.map((name, at) => [name, cells[at] ?? ""] as const).filter(([, cell]) => cell !== "");
    lines.push(Object.fromEntries(filled));
  }
  return ok(lines);
}

function cellsOf(line: string): string[] | undefined {
  const cells: string[] = [];
  for (let at = 0; at <= line.length;) {
    if (line[at] === '"') {
      const { text, end } = quoted(line, at + 1);
      if (end < 0 || (end < line.length && line[end] !== ",")) return undefined;
      cells.push(text);
      at = end + 1;
      continue;
    }
    const comma = line.indexOf(",", at);
    const end = comma < 0 ? line.length : comma;
    cells.push(line.slice(at, end).trim());
    at = end + 1;
  }
  return cells;
}

function quoted(line: string, from: number): { readonly text: string; readonly end: number } {
  let text = "";
  for (let at = from; at < line.length; at++) {
    if (line[at] !== '"') text += line[at];
    else if (line[at + 1] === '"') text += line[++at];
    else return { text, end: at + 1 };
  }
  return { text, end: -1 };
}
