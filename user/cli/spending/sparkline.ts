const BARS = "▁▂▃▄▅▆▇█";
const DAY_MS = 86_400_000;

/** One bar a value, the tallest for the largest; a space where nothing is. */
export function sparkline(values: readonly number[]): string {
  const largest = Math.max(0, ...values);
  if (largest === 0) return "";
  return values
    .map((value) =>
      value <= 0 ? " " : (BARS[Math.min(BARS.length - 1, Math.ceil((value / largest) * BARS.length) - 1)] ?? ""),
    )
    .join("");
}

/** `YYYY-MM-DD` so many days later. */
export const dayAfter = (day: string, days: number): string =>
  new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

/** The days up to `today`, the oldest first. */
export const lastDays = (today: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => dayAfter(today, index - count + 1));
