import { limits } from "../../protocol/limits.ts";

/**
 * `Retry-After` (RFC 9110, section 10.2.3) in milliseconds from now: seconds, or a date of the fixed form of section
 * 5.6.7. Undefined when it is neither; never negative, never more than is believed of a provider.
 */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^\d{1,10}$/.test(value) ? Number(value) * 1_000 : undefined;
  const date = HTTP_DATE.test(value) ? Date.parse(value) - nowMs : NaN;
  const ms = seconds ?? date;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), limits.model.retryAfterMsMax);
}

const HTTP_DATE =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/;
