import { z } from "zod";
import { parseDuration } from "../../lib/units.ts";
import { limits } from "../../protocol/limits.ts";
import type { Caps, CapUnits } from "../ledger/ledger.ts";
import { Bytes, Count, Usd } from "./fields.ts";

/** The form of a budget: caps in the days, months and rolling windows of one owner, and on what it sends where. */

const { rollingWindowsMax, rollingSpanMsMin, rollingSpanMsMax, destinationsMax } = limits.ledger;

const Window = z.strictObject({
  tokens: Count.optional(),
  usd: Usd.optional(),
  requests: Count.optional(),
  bytes: Bytes.optional(),
});

const spanOf = (text: string): number | undefined => {
  const parsed = parseDuration(text);
  return parsed.ok && parsed.value >= rollingSpanMsMin && parsed.value <= rollingSpanMsMax ? parsed.value : undefined;
};
const Span = z.string().refine((text) => spanOf(text) !== undefined, "must be a time from `1m` to `31d`, such as `6h`");

const windows = {
  /** Any 60 minutes: the same as `rolling: { 1h: … }`. */
  hour: Window.optional(),
  day: Window.optional(),
  month: Window.optional(),
  rolling: z
    .record(Span, Window)
    .refine((each) => Object.keys(each).length <= rollingWindowsMax, `at most ${rollingWindowsMax} windows`)
    .optional(),
};

/** Providers and hosts. */
const Destination = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, "must be the name of a provider or of a host");

export const Budget = z.strictObject({
  ...windows,
  to: z
    .record(Destination, z.strictObject(windows))
    .refine((each) => Object.keys(each).length <= destinationsMax, `at most ${destinationsMax} destinations`)
    .optional(),
});
export type BudgetForm = z.infer<typeof Budget>;

export function capsOf(form: BudgetForm | undefined): Caps {
  const to = Object.entries(form?.to ?? {});
  return {
    ...windowsOf(form ?? {}),
    ...(to.length === 0 ? {} : { destinations: Object.fromEntries(to.map(([name, each]) => [name, windowsOf(each)])) }),
  };
}

function windowsOf({ hour, day, month, rolling }: Omit<BudgetForm, "to">): Pick<Caps, "day" | "month" | "rolling"> {
  const spans = Object.entries(rolling ?? {}).map(([text, each]) => ({ spanMs: spanOf(text) ?? 0, cap: stated(each) }));
  if (hour) spans.push({ spanMs: HOUR_MS, cap: stated(hour) });
  return { day: stated(day), month: stated(month), ...(spans.length === 0 ? {} : { rolling: spans }) };
}

const HOUR_MS = 3_600_000;

const stated = (window: z.infer<typeof Window> | undefined): CapUnits =>
  Object.fromEntries(Object.entries(window ?? {}).filter(([, cap]) => cap !== undefined));
