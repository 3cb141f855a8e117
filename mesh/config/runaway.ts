import { z } from "zod";
import type { RunawayLimits } from "../door/runaway.ts";
import { limits } from "../../protocol/limits.ts";
import { Count, Duration, textOr } from "./fields.ts";

/** The form of `runaway`: when an agent is taken for one that runs away, or `off`. */

const { withinMsMin, withinMsMax, identicalCallsMin, identicalCallsMax } = limits.runaway;
const Within = Duration.refine((ms) => ms >= withinMsMin && ms <= withinMsMax, "must be from `1s` to `1d`");

export const Runaway = textOr(
  z.literal("off"),
  z.strictObject({
    identical_calls: Count.refine(
      (n) => n >= identicalCallsMin && n <= identicalCallsMax,
      `must be from ${identicalCallsMin} to ${identicalCallsMax}`,
    ).optional(),
    identical_within: Within.optional(),
    /** Of the agent's own US dollars of a day. */
    spend_percent: z.int().min(1).max(100).optional(),
    spend_within: Within.optional(),
  }),
);
export type RunawayForm = z.infer<typeof Runaway>;

/**
 * Undefined: the agent is not watched. Where the file says nothing of spending, small sums are not looked at: a day's
 * budget of a few dollars is often spent in one go.
 */
export function runawayOf(
  forms: readonly (RunawayForm | undefined)[],
  dayMicroUsd: number | undefined,
): RunawayLimits | undefined {
  const [own, all] = forms;
  if (own === "off" || (own === undefined && all === "off")) return undefined;
  const stated = { ...(all === "off" ? {} : all), ...own };
  const { identicalCallsDefault, withinMsDefault, spendHundredthsDefault, spendMicroDollarsMinDefault } =
    limits.runaway;
  const share = (stated.spend_percent ?? spendHundredthsDefault) / 100;
  const least = stated.spend_percent === undefined ? spendMicroDollarsMinDefault : 0;
  return {
    identicalCalls: stated.identical_calls ?? identicalCallsDefault,
    identicalMs: stated.identical_within ?? withinMsDefault,
    spendMicroUsd: dayMicroUsd === undefined ? null : Math.max(Math.floor(dayMicroUsd * share), least),
    spendMs: stated.spend_within ?? withinMsDefault,
  };
}
