/** A budget window: from `startMs` until just before `endMs`, milliseconds since the Unix epoch. */
export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}
/** `rolling:SPAN_MS` counts in buckets that are named by their start. */
export type WindowName = WindowKind | "run" | `rolling:${number}`;
export type WindowKind = "day" | "month";
export const windowKinds: readonly WindowKind[] = ["day", "month"];

/** `undefined`: not the name of a rolling window. */
export function rollingSpanMs(name: string): number | undefined {
  const spanMs = name.startsWith("rolling:") ? Number(name.slice("rolling:".length)) : NaN;
  return Number.isSafeInteger(spanMs) && spanMs > 0 ? spanMs : undefined;
}

/** For people: `day`, `rolling 6h`. */
export function windowText(name: string): string {
  const spanMs = rollingSpanMs(name);
  if (spanMs === undefined) return name;
  const [factor, unit] = (
    [
      [86_400_000, "d"],
      [HOUR_MS, "h"],
      [60_000, "m"],
    ] as const
  ).find(([f]) => spanMs % f === 0) ?? [1_000, "s"];
  return `rolling ${spanMs / factor}${unit}`;
}

/** A rolling window is counted in so many buckets and one more, so that its sum is never below the true one. */
const BUCKETS = 12;

/** The buckets that can hold a moment of the `spanMs` before `atMs`, by their starts. */
export function bucketsOf(spanMs: number, atMs: number) {
  const widthMs = Math.ceil(spanMs / BUCKETS);
  const startMs = Math.floor(atMs / widthMs) * widthMs;
  const firstMs = Math.floor((atMs - spanMs) / widthMs) * widthMs;
  return { widthMs, startMs, firstMs };
}

const HOUR_MS = 3_600_000;
/** No zone shifts its clock by more than a day; a day or a month of any zone lies within these of its middle. */
const REACH_MS: Readonly<Record<WindowKind, number>> = { day: 50 * HOUR_MS, month: 34 * 24 * HOUR_MS };

/**
 * The calendar day or month of a time zone (IANA name) that holds an instant. Borders are found by bisection
 * on the local date, so that days of 23 or 25 hours, and midnights that do not exist, need no special case.
 */
export function calendar(timeZone: string): (kind: WindowKind, atMs: number) => Window {
  const format = new Intl.DateTimeFormat("en-u-ca-iso8601-nu-latn", {
    timeZone,
    year: "numeric",
    month: "numeric",
    day: "numeric",
  });
  /** Rises with the local calendar; equal within one day or month. */
  const ordinal = (kind: WindowKind, atMs: number): number => {
    const parts: Partial<Record<string, number>> = {};
    for (const { type, value } of format.formatToParts(atMs)) parts[type] = Number(value);
    const month = (parts["year"] ?? NaN) * 12 + (parts["month"] ?? NaN);
    return kind === "month" ? month : month * 31 + (parts["day"] ?? NaN);
  };
  /** The first instant in (low, high] whose ordinal is more than `below`. */
  const border = (kind: WindowKind, low: number, high: number, below: number): number => {
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (ordinal(kind, middle) > below) high = middle;
      else low = middle;
    }
    return high;
  };
  return (kind, atMs) => {
    const now = ordinal(kind, atMs);
    return {
      startMs: border(kind, atMs - REACH_MS[kind], atMs, now - 1),
      endMs: border(kind, atMs, atMs + REACH_MS[kind], now),
    };
  };
}
