import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { BudgetLine } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import {
  BudgetInput,
  spendingGroupings,
  type BudgetHistory,
  type ModelPage,
  type PriceListReport,
  type Spending,
} from "../../protocol/money.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Queries } from "../store/queries.ts";
import { parse, type Handler } from "./request.ts";

/** Prices and budgets as the desk sees them. */
export interface DeskMoney {
  /** `YYYY-MM-DD` in the fleet's time zone. */
  today(): string;
  models(provider: string | undefined): ModelPage;
  /** Changes nothing unless the whole list is understood. */
  updatePrices(list: Json): Promise<Result<PriceListReport, Refusal>>;
  setBudget(input: BudgetInput): Promise<Result<BudgetLine, Refusal>>;
}

export const moneyRoutes: Readonly<Record<string, Handler>> = {
  "GET /v1/spending": async ({ store, money }, { query }) => {
    // What has ended and nobody waits for is there, too.
    await store.commit([]);
    return spending(store.query, query.get("by") ?? "agent", query.get("since") ?? "", money.today());
  },
  "GET /v1/budgets": ({ store }) => ok(budgetHistory(store.query)),
  "POST /v1/budgets": ({ money }, { body }) => {
    const input = parse(BudgetInput, body);
    return input.ok ? money.setBudget(input.value) : input;
  },
  "GET /v1/models": ({ money }, { query }) => ok(money.models(query.get("provider") ?? undefined)),
  "POST /v1/models/prices": ({ money }, { body }) => money.updatePrices(body),
};

/** `since` is a day, `YYYY-MM-DD`; empty: from the first one on. */
export function spending(
  query: Pick<Queries, "spending">,
  by: string,
  since: string,
  today: string,
): Result<Spending, Refusal> {
  const grouping = spendingGroupings.find((each) => each === by);
  if (!grouping) return err(refusal("malformed", "`by` is no grouping", `say one of ${spendingGroupings.join(", ")}`));
  if (since !== "" && (!/^\d{4}-\d\d-\d\d$/.test(since) || Number.isNaN(Date.parse(since))))
    return err(refusal("malformed", "`since` is no day", "write it like `2026-11-22`"));
  const max = limits.ledger.spendingRowsMax;
  const rows = query.spending.days(grouping, since === "" ? "0000-01-01" : since, max + 1);
  return ok({ currency: "micro-USD", by: grouping, today, rows: rows.slice(0, max), truncated: rows.length > max });
}

export function budgetHistory(query: Pick<Queries, "spending">): BudgetHistory {
  const inForce = new Set(query.spending.overridesInForce().map(({ seq }) => seq));
  return {
    changes: query.spending
      .overrides(limits.ledger.overridesShownMax)
      .map((row) => ({ ...row, holds: inForce.has(row.seq) })),
  };
}
