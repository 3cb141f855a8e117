import type { BudgetLine } from "../../protocol/desk.ts";
import { units } from "./amount.ts";
import type { Scope } from "./ledger.ts";
import { capOf, type Place, type Places } from "./places.ts";

/** What people see of the scopes: tokens and money of every day and month, and whatever else has a cap. */
export const budgetLines = (places: Places, scopes: readonly Scope[]): BudgetLine[] =>
  scopes.flatMap((scope) => places.shown(scope).flatMap((place) => linesOf(places, place)));

function linesOf(places: Places, place: Place): BudgetLine[] {
  const { settled, reserved } = places.used(place);
  const plain = (place.window === "day" || place.window === "month") && !place.scope.includes(">");
  return units.flatMap((unit) => {
    const capped = place.cap[unit] !== undefined;
    if (!capped && !(plain && (unit === "tokens" || unit === "usd"))) return [];
    const { scope, window } = place;
    const cap = capped ? capOf(place.cap, unit) : null;
    return { scope, window, unit, cap, settled: settled[unit], reserved: reserved[unit] };
  });
}
