import { formatBytes, formatUsd } from "../../../lib/units.ts";
import type { BudgetLine, Costs } from "../../../protocol/desk.ts";
import type { Spending, SpendingRow } from "../../../protocol/money.ts";
import { tint, type Line } from "../line.ts";
import type { Terminal } from "../terminal.ts";
import type { Difference } from "./reconcile.ts";
import { lastDays, sparkline } from "./sparkline.ts";

const SPARK_DAYS = 14;

/** Totals since the state was made, and the budgets. */
export function printCosts(found: Costs, terminal: Terminal, by: "agent" | "scope" = "agent"): void {
  const totals =
    by === "agent"
      ? found.totals.map(({ agent, ...total }) => ({ of: agent, ...total }))
      : (found.scopes ?? []).map(({ scope, ...total }) => ({ of: scope, ...total }));
  terminal.table(
    [by, "model", "calls", "tokens in", "tokens out", "cost"],
    totals.map((row) => [
      row.of,
      row.model,
      String(row.calls),
      String(row.inputTokens),
      String(row.outputTokens),
      formatUsd(row.microUsd),
    ]),
  );
  terminal.print("");
  printBudgets(found, terminal);
}

export function printBudgets(found: Costs, terminal: Terminal): void {
  terminal.table(
    ["budget", "window", "settled", "reserved", "cap", "used"],
    found.lines.map((line) => [
      line.scope,
      windowText(line.window),
      amountOf(line, line.settled),
      amountOf(line, line.reserved),
      line.cap === null ? "none" : amountOf(line, line.cap),
      shareOf(line),
    ]),
  );
  terminal.print(tint("faint", `prices: ${found.priceSource}`));
}

interface Summed {
  calls: number;
  estimates: number;
  input: number;
  cached: number;
  output: number;
  microUsd: number;
  readonly days: Map<string, number>;
}

/** One line for each of what is asked for and model, the dearest first, with its last two weeks. */
export function printSpending({ by, rows, today }: Spending, terminal: Terminal): void {
  const sums = new Map<string, { readonly of: string; readonly model: string; readonly sum: Summed }>();
  for (const row of rows) {
    for (const of of namesOf(by, row)) {
      const key = `${of} ${row.model}`;
      const found = sums.get(key) ?? { of, model: row.model, sum: nothing() };
      sums.set(key, found);
      add(found.sum, row);
    }
  }
  const days = lastDays(today, SPARK_DAYS);
  const sorted = [...sums.values()].sort((a, b) => b.sum.microUsd - a.sum.microUsd);
  terminal.table(
    [
      ...(by === "model" ? [] : [by]),
      "model",
      "calls",
      "tokens in",
      "cached",
      "tokens out",
      "cost",
      `${SPARK_DAYS} days`,
    ],
    sorted.map(({ of, model, sum }) => [
      ...(by === "model" ? [] : [of]),
      model,
      sum.estimates > 0 ? `${sum.calls} (${sum.estimates} estimated)` : String(sum.calls),
      String(sum.input),
      String(sum.cached),
      String(sum.output),
      formatUsd(sum.microUsd),
      sparkline(days.map((day) => sum.days.get(day) ?? 0)),
    ]),
  );
}

/** An agent in two teams counts in both of them. */
function namesOf(by: Spending["by"], row: SpendingRow): string[] {
  if (by === "team") return row.teams === "" ? ["(none)"] : row.teams.split(",");
  return [(by === "all" || by === "agent" ? row.agent : by === "model" ? row.model : row[by]) || "(none)"];
}

const nothing = (): Summed => ({
  calls: 0,
  estimates: 0,
  input: 0,
  cached: 0,
  output: 0,
  microUsd: 0,
  days: new Map(),
});

function add(sum: Summed, row: SpendingRow): void {
  sum.calls += row.calls;
  sum.estimates += row.estimates;
  sum.input += row.inputTokens + row.cacheWriteTokens;
  sum.cached += row.cacheReadTokens;
  sum.output += row.outputTokens;
  sum.microUsd += row.microUsd;
  sum.days.set(row.day, (sum.days.get(row.day) ?? 0) + row.microUsd);
}

export function printReconciled(differences: readonly Difference[], terminal: Terminal): void {
  if (differences.length === 0) return terminal.print("nothing to compare: neither side has anything of these days");
  terminal.table(
    ["day", "model", "ledger", "provider", "difference", ""],
    differences.map((each) => [
      each.day,
      each.model,
      formatUsd(each.ours.microUsd),
      formatUsd(each.theirs.microUsd),
      formatUsd(each.microUsd),
      tint(each.agrees ? "good" : "warn", each.says),
    ]),
  );
}

export const amountOf = (line: Pick<BudgetLine, "unit">, amount: number): string =>
  line.unit === "usd" ? formatUsd(amount) : line.unit === "bytes" ? formatBytes(amount) : `${amount} ${line.unit}`;

/** `rolling:21600000` → `any 6h`. */
export function windowText(window: string): string {
  const spanMs = window.startsWith("rolling:") ? Number(window.slice("rolling:".length)) : NaN;
  if (!Number.isSafeInteger(spanMs)) return window;
  return spanMs % HOUR_MS === 0 ? `any ${spanMs / HOUR_MS}h` : `any ${Math.round(spanMs / 60_000)}m`;
}
const HOUR_MS = 3_600_000;

export function shareOf(line: BudgetLine): Line {
  if (line.cap === null || line.cap === 0) return "-";
  const percent = Math.floor(((line.settled + line.reserved) / line.cap) * 100);
  return tint(percent >= 95 ? "bad" : percent >= 80 ? "warn" : "good", `${percent} %`);
}
