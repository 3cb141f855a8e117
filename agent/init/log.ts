import type { Clock } from "../../lib/clock.ts";
import { shorten } from "../../lib/text.ts";

export type Level = "info" | "warn" | "error";
export type Detail = Readonly<Record<string, string | number | boolean | null>>;

/** One event, one line. Safe to call from anywhere: it never throws. */
export type Log = (level: Level, event: string, detail?: Detail) => void;

const TEXT_CHARS_MAX = 400;

/** Writes `{"at":MS,"level":"info","event":"…",…}` lines. Long texts are shortened, so that a line stays a line. */
export function jsonLog(clock: Clock, write: (line: string) => void): Log {
  return (level, event, detail = {}) => {
    const line: Record<string, string | number | boolean | null> = { at: clock.nowMs(), level, event };
    for (const [name, value] of Object.entries(detail)) {
      line[name] = typeof value === "string" ? shorten(value, TEXT_CHARS_MAX) : value;
    }
    write(`${JSON.stringify(line)}\n`);
  };
}

/** What may be said of a caught value: its code if it has one, else its message. */
export function describeFault(fault: unknown): string {
  if (!(fault instanceof Error)) return String(fault);
  const code = (fault as NodeJS.ErrnoException).code;
  return code === undefined ? `${fault.name}: ${fault.message}` : code;
}
