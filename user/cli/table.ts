import { printable } from "../../lib/text.ts";
import { partsOf, type Line, type Part } from "./line.ts";

const GAP = "  ";
const COLUMN_CHARS_MIN = 8;

/** Left-aligned columns; where `width` is given, the widest columns wrap until the table fits. */
export function renderTable(rows: readonly (readonly Line[])[], width?: number): Part[][] {
  const cells = rows.map((row) => row.map(cellOf));
  const columns = Math.max(0, ...cells.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(0, ...cells.map((row) => row[c]?.text.length ?? 0)),
  );
  if (width !== undefined) shrink(widths, width - GAP.length * (columns - 1));
  return cells.flatMap((row) => renderRow(row, widths));
}

interface Cell {
  readonly text: string;
  readonly shown: (text: string) => Part;
}

/** One line of text and one tone a cell: that of its first tinted part. */
function cellOf(line: Line): Cell {
  const parts = partsOf(line);
  const text = parts.map((part) => (typeof part === "object" ? part.text : String(part))).join("");
  const tinted = parts.find((part) => typeof part === "object");
  return {
    text: printable(text).replaceAll(/\s+/g, " ").trim(),
    shown: (piece) => (typeof tinted === "object" ? { text: piece, tone: tinted.tone } : piece),
  };
}

function shrink(widths: number[], room: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - room;
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    const width = widths[widest] ?? 0;
    if (width <= COLUMN_CHARS_MIN) return;
    widths[widest] = width - 1;
    excess--;
  }
}

function renderRow(row: readonly Cell[], widths: readonly number[]): Part[][] {
  const wrapped = row.map((cell, c) => wrap(cell.text, widths[c] ?? cell.text.length));
  const height = Math.max(1, ...wrapped.map((lines) => lines.length));
  return Array.from({ length: height }, (_, y) =>
    row.flatMap((cell, c): Part[] => {
      const text = wrapped[c]?.[y] ?? "";
      const last = c === row.length - 1;
      const padding = last ? "" : " ".repeat(Math.max(0, (widths[c] ?? 0) - text.length)) + GAP;
      return text === "" ? [padding] : [cell.shown(text), padding];
    }),
  );
}

/** Breaks at spaces, and inside a word that is longer than a line. */
function wrap(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const end = space > 0 ? space : width;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  if (rest !== "") lines.push(rest);
  return lines;
}
