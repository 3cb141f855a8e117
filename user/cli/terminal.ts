import { printable } from "../../lib/text.ts";
import type { Surroundings, TerminalOutput } from "./surroundings.ts";
import { partsOf, tint, type Line, type Tone } from "./line.ts";
import { renderTable } from "./table.ts";

/** Results go to standard output; progress, notes and errors to standard error. */
export interface Terminal {
  print(line: Line): void;
  table(headers: readonly string[], rows: readonly (readonly Line[])[]): void;
  json(value: unknown): void;
  note(line: Line): void;
  /** A line that the next one replaces; shown only where standard error is a terminal. */
  live(line: Line): void;
  /** Takes the live line away. */
  settle(): void;
}

const SGR: Readonly<Record<Tone, string>> = {
  good: "32",
  bad: "31;1",
  warn: "33",
  faint: "2",
  strong: "1",
  accent: "36",
};

export function openTerminal(surroundings: Pick<Surroundings, "stdout" | "stderr" | "colour">): Terminal {
  const { stdout, stderr } = surroundings;
  const coloured = (stream: TerminalOutput): boolean => surroundings.colour && stream.isTTY === true;
  let liveShown = false;
  const clearLive = (): void => {
    if (liveShown) stderr.write("\r\u001b[2K");
    liveShown = false;
  };
  const write = (stream: TerminalOutput, line: Line): void => {
    clearLive();
    stream.write(`${render(line, coloured(stream))}\n`);
  };
  return {
    print: (line) => write(stdout, line),
    note: (line) => write(stderr, line),
    table(headers, rows) {
      const width = stdout.isTTY ? (stdout.columns ?? 100) : undefined;
      const head = headers.map((text) => tint("faint", text));
      for (const line of renderTable([head, ...rows], width)) write(stdout, line);
    },
    json(value) {
      clearLive();
      stdout.write(`${escapeJson(JSON.stringify(value, null, 2))}\n`);
    },
    live(line) {
      if (stderr.isTTY !== true) return;
      clearLive();
      stderr.write(render(cut(line, (stderr.columns ?? 80) - 1), coloured(stderr)));
      liveShown = true;
    },
    settle: clearLive,
  };
}

function render(line: Line, colour: boolean): string {
  return partsOf(line)
    .map((part) => {
      if (typeof part !== "object") return printable(String(part));
      return colour ? `\u001b[${SGR[part.tone]}m${printable(part.text)}\u001b[0m` : printable(part.text);
    })
    .join("");
}

/** A live line must not wrap: a wrapped line cannot be taken away again. */
function cut(line: Line, columns: number): Line {
  let left = columns;
  return partsOf(line).map((part) => {
    const text = printable(typeof part === "object" ? part.text : String(part)).replaceAll(/[\n\t]/g, " ");
    const kept = text.slice(0, Math.max(0, left));
    left -= kept.length;
    return typeof part === "object" ? { ...part, text: kept } : kept;
  });
}

/** Same JSON value, with what `printable` would show as an escape written as `\uXXXX`. */
const escapeJson = (json: string): string =>
  json.replace(/[^\n\x20-\x7e]+/g, (text) =>
    printable(text).replaceAll(/\\u\{([0-9a-f]+)\}/g, (_, code: string) => jsonEscape(Number.parseInt(code, 16))),
  );

const jsonEscape = (code: number): string =>
  String.fromCodePoint(code).replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
