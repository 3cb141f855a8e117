import { formatBytes, formatUsd } from "../../lib/units.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { BudgetRefusal, Unit } from "../ledger/ledger.ts";
import { windowText } from "../ledger/windows.ts";

/** Terminal: to try again before there is room is of no use. */
export function budgetRefusal({ scope, window, unit, cap, left, wanted, resetsAtMs }: BudgetRefusal): Refusal {
  const show = (amount: number): string => shown(amount, unit);
  return refusal(
    "budget_exhausted",
    `the ${windowText(window)} budget of \`${scope}\` has ${show(left)} left of ${show(cap)}, and this call could cost ${show(wanted)}`,
    window === "run" ? "raise the budget" : `raise the budget, or wait until ${new Date(resetsAtMs).toISOString()}`,
  );
}

/**
 * The call would have fitted a fresh window, and what is spent for certain leaves no room for it. A call that is
 * too large for any window, or that only waits for others to settle, is refused without halting the agent; so is one
 * for a run, a step or a destination that is used up: the agent can do other work.
 */
export const endsAgent = ({ scope, window, wanted, cap, settled }: BudgetRefusal): boolean =>
  window !== "run" && !scope.includes(">") && wanted <= cap && wanted > cap - settled;

function shown(amount: number, unit: Unit): string {
  if (unit === "usd") return formatUsd(amount);
  return unit === "bytes" ? formatBytes(amount) : `${amount} ${unit}`;
}
