import type { SpendingRow } from "../../../protocol/money.ts";

export type Cell = string | number;

/** RFC 4180. A text that a spreadsheet would run as a formula is kept from it by an apostrophe. */
export const csv = (rows: readonly (readonly Cell[])[]): string =>
  rows.map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");

function cellOf(cell: Cell): string {
  if (typeof cell === "number") return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const columns = [
  "day",
  "agent",
  "teams",
  "tenant",
  "run",
  "model",
  "credential",
  "price",
  "calls",
  "estimates",
  "inputTokens",
  "cacheReadTokens",
  "cacheWriteTokens",
  "outputTokens",
  "microUsd",
] as const satisfies readonly (keyof SpendingRow)[];

/** One line a row; the cost is in micro-USD, so that nothing is rounded. */
export const spendingCsv = (rows: readonly SpendingRow[]): string =>
  csv([
    columns.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
    ...rows.map((row) => columns.map((name) => row[name])),
  ]);
