/**
 * What the desk tells and takes of money, besides `GET /v1/costs`:
 *
 *   GET  /v1/spending?by=GROUPING&since=YYYY-MM-DD -> Spending      by day, in the fleet's time zone
 *   GET  /v1/budgets                               -> BudgetHistory what was set while the mesh ran, the newest first
 *   POST /v1/budgets                               BudgetInput -> BudgetLine      holds from the next call on
 *   GET  /v1/models?provider=NAME                  -> ModelPage
 *   POST /v1/models/prices                         a price list (cordon-prices/1) -> PriceListReport
 */
import { z } from "zod";

export const spendingGroupings = ["agent", "team", "tenant", "model", "run", "credential", "all"] as const;
export type SpendingGrouping = (typeof spendingGroupings)[number];

/** Sums of one day. What was summed away is empty; `teams` are joined by commas. */
export interface SpendingRow {
  readonly day: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly agent: string;
  readonly model: string;
  readonly run: string;
  readonly teams: string;
  /** That of the agent at the time; empty where it had none. */
  readonly tenant: string;
  readonly credential: string;
  /** The list of prices, with its version. */
  readonly price: string;
  readonly calls: number;
  /** Calls that were charged their reservation, as the provider's figure was missing; their tokens are not known. */
  readonly estimates: number;
  /** Without those of the cache. */
  readonly inputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly outputTokens: number;
  readonly microUsd: number;
}

export interface Spending {
  readonly currency: "micro-USD";
  readonly by: SpendingGrouping;
  /** The fleet's own day at this moment; where nothing runs, the last one that has a row. */
  readonly today: string;
  readonly rows: readonly SpendingRow[];
  /** There was more than one view holds: ask for fewer days. */
  readonly truncated: boolean;
}

export const budgetUnits = ["tokens", "usd", "requests", "bytes"] as const;
export const BudgetInput = z.strictObject({
  scope: z
    .string()
    .max(128)
    .regex(
      /^(?:fleet|(?:team|tenant|agent):[a-z0-9-]+)$/,
      "must be `fleet`, `team:NAME`, `tenant:NAME` or `agent:NAME`",
    ),
  window: z.enum(["day", "month"]),
  unit: z.enum(budgetUnits),
  /** usd in micro-USD; null: what the fleet file says again. */
  cap: z.int().min(0).nullable(),
});
export type BudgetInput = z.infer<typeof BudgetInput>;

export interface BudgetChange extends BudgetInput {
  readonly seq: number;
  readonly atMs: number;
  readonly by: string;
  /** No newer change has taken its place. */
  readonly holds: boolean;
}
export interface BudgetHistory {
  readonly changes: readonly BudgetChange[];
}

/** Rates are micro-USD for a million tokens. */
export interface ModelCard {
  readonly provider: string;
  readonly model: string;
  readonly contextTokens: number | null;
  readonly input: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly output: number;
  /** What a call is reserved at: the dearest that any of its tokens can have. */
  readonly worstInput: number;
  readonly worstOutput: number;
  /** Dearer rates from so many tokens of input on. */
  readonly tiers: readonly { readonly fromTokens: number; readonly input: number; readonly output: number }[];
  readonly source: string;
}
export interface ModelPage {
  readonly source: string;
  readonly models: readonly ModelCard[];
}

export interface PriceListReport {
  readonly version: string;
  /** Of the list as canonical JSON; it stands in the audit. */
  readonly sha256: string;
  readonly models: number;
  /** Models whose rate of input or output is another one than before. */
  readonly changed: readonly string[];
}
