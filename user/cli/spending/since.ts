import { usageFailure } from "../failure.ts";
import { dayAfter } from "./sparkline.ts";

const DAYS_MAX = 3_650;

/** What `--since` means: a day, or a number of days of which today is the last. */
export type Since = { readonly day: string } | { readonly days: number };

export function sinceOf(text: string | undefined): Since | undefined {
  if (text === undefined) return undefined;
  if (text === "today") return { days: 1 };
  const days = /^(\d{1,4})d$/.exec(text);
  if (days && Number(days[1]) >= 1 && Number(days[1]) <= DAYS_MAX) return { days: Number(days[1]) };
  const real = /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
  if (real && new Date(`${text}T00:00:00Z`).toISOString().startsWith(text)) return { day: text };
  throw usageFailure(`\`--since ${text.slice(0, 40)}\` is no time`, "say `today`, `7d`, or a day like `2026-11-22`");
}

/** The day to ask for: early enough in every time zone; `within` then keeps what was meant. */
export function askedDay(since: Since | undefined, nowMs: number): string {
  if (since === undefined) return "";
  return "day" in since ? since.day : dayAfter(new Date(nowMs).toISOString().slice(0, 10), -since.days - 1);
}

export function within(since: Since | undefined, today: string): (row: { readonly day: string }) => boolean {
  if (since === undefined) return () => true;
  const first = "day" in since ? since.day : dayAfter(today, 1 - since.days);
  return ({ day }) => day >= first;
}
