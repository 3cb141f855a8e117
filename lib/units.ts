import { err, ok, type Result } from "./result.ts";

const BYTE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};
const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };
const COUNT_UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9 };

function parseUnit(text: string, units: Readonly<Record<string, number>>, example: string): Result<number, string> {
  const match = /^(\d{1,15})(?:\.(\d{1,6}))?([A-Za-z]{0,3})$/.exec(text);
  const factor = match && Object.hasOwn(units, match[3] ?? "") ? units[match[3] ?? ""] : undefined;
  if (!match || factor === undefined) return err(`\`${text}\` is not of the form ${example}`);
  const value = Number(`${match[1]}.${match[2] ?? "0"}`) * factor;
  const whole = Math.round(value);
  if (Math.abs(whole - value) > 1e-6 || !Number.isSafeInteger(whole)) {
    return err(`\`${text}\` is not a whole number of the smallest unit (form ${example})`);
  }
  return ok(whole);
}

/** `384MiB` → bytes. The unit is required. */
export const parseBytes = (text: string): Result<number, string> =>
  /[A-Za-z]$/.test(text)
    ? parseUnit(text, BYTE_UNITS, "`384MiB`")
    : err(`\`${text}\` needs a unit, for example \`384MiB\``);

/** `30s` → milliseconds. The unit is required. */
export const parseDuration = (text: string): Result<number, string> =>
  /[A-Za-z]$/.test(text) ? parseUnit(text, TIME_UNITS, "`30s`") : err(`\`${text}\` needs a unit, for example \`30s\``);

/** `200k` → 200000. */
export const parseCount = (text: string): Result<number, string> => parseUnit(text, COUNT_UNITS, "`200k`");

/** `2.00` (US dollars) → micro-USD, exactly. */
export function parseUsd(text: string): Result<number, string> {
  const match = /^(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text);
  if (!match) return err(`\`${text}\` is not an amount in US dollars of the form \`2.00\``);
  return ok(Number(match[1]) * 1e6 + Number((match[2] ?? "").padEnd(6, "0")));
}

/** Micro-USD → `$1.234567`, without trailing zeros beyond cents. */
export function formatUsd(microUsd: number): string {
  const sign = microUsd < 0 ? "-" : "";
  const whole = Math.abs(microUsd);
  const fraction = String(whole % 1e6)
    .padStart(6, "0")
    .replace(/0{1,4}$/, "");
  return `${sign}$${Math.floor(whole / 1e6)}.${fraction}`;
}

/** Bytes → `384 MiB`. */
export function formatBytes(bytes: number): string {
  for (const [unit, factor] of [
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
    ["KiB", 1024],
  ] as const) {
    if (bytes >= factor) return `${Number((bytes / factor).toFixed(1))} ${unit}`;
  }
  return `${bytes} B`;
}

/** Milliseconds → `850 ms`, `12.3 s`, `3m 05s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)}m ${String(Math.floor((ms % 60_000) / 1000)).padStart(2, "0")}s`;
}
