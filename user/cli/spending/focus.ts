import type { SpendingRow } from "../../../protocol/money.ts";
import { csv, type Cell } from "./csv.ts";

/**
 * What was spent as a FOCUS data set (FinOps Open Cost and Usage Specification 1.2, focus.finops.org): one charge a
 * row, in CSV. Costs are US dollars with six decimals. Discounts and invoices are not known here: list, contracted,
 * billed and effective cost are the same, and columns that would need an invoice are left out or empty.
 */
export function focusCsv(rows: readonly SpendingRow[], account: string): string {
  return csv([focusColumns, ...rows.map((row) => focusColumns.map((column) => cells[column](row, account)))]);
}

const usd = (microUsd: number): string => `${Math.floor(microUsd / 1e6)}.${String(microUsd % 1e6).padStart(6, "0")}`;
const cost = (row: SpendingRow): Cell => usd(row.microUsd);
const time = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
/** First of the month that holds the charge, in UTC, and of the one after it. */
const month = (ms: number, more: number): string => {
  const at = new Date(ms);
  return time(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + more, 1));
};
const provider = (row: SpendingRow): string => row.model.slice(0, Math.max(0, row.model.indexOf("/")));
const tokens = (row: SpendingRow): number =>
  row.inputTokens + row.cacheReadTokens + row.cacheWriteTokens + row.outputTokens;

const cells = {
  BillingAccountId: (_, account) => account,
  BillingAccountName: (_, account) => account,
  BillingCurrency: () => "USD",
  BillingPeriodStart: (row) => month(row.startMs, 0),
  BillingPeriodEnd: (row) => month(row.startMs, 1),
  ChargePeriodStart: (row) => time(row.startMs),
  ChargePeriodEnd: (row) => time(row.endMs),
  ChargeCategory: () => "Usage",
  ChargeClass: () => "",
  ChargeDescription: (row) => `${row.calls} calls of ${row.model}`,
  ChargeFrequency: () => "Usage-Based",
  BilledCost: cost,
  EffectiveCost: cost,
  ListCost: cost,
  ContractedCost: cost,
  ConsumedQuantity: tokens,
  ConsumedUnit: () => "Tokens",
  PricingQuantity: (row) => (tokens(row) / 1e6).toFixed(6),
  PricingUnit: () => "1M Tokens",
  PricingCategory: () => "Standard",
  ProviderName: provider,
  PublisherName: provider,
  InvoiceIssuerName: provider,
  ServiceCategory: () => "AI and Machine Learning",
  ServiceSubcategory: () => "Generative AI",
  ServiceName: (row) => row.model,
  SkuId: (row) => row.model,
  SkuPriceId: (row) => row.price,
  ResourceId: (row) => row.agent,
  ResourceName: (row) => row.agent,
  ResourceType: () => "Agent",
  SubAccountId: (row) => row.tenant || row.teams,
  Tags: (row) =>
    JSON.stringify({
      run: row.run,
      teams: row.teams,
      tenant: row.tenant,
      credential: row.credential,
      estimates: String(row.estimates),
    }),
} satisfies Record<string, (row: SpendingRow, account: string) => Cell>;

export const focusColumns = Object.keys(cells) as (keyof typeof cells)[];
