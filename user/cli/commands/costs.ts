import { formatBytes, formatUsd } from "../../../lib/units.ts";
import type { BudgetLine, Costs } from "../../../protocol/desk.ts";
import { jsonOption, stateOptions, type Command } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { tint, type Line } from "../line.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { placesOf } from "../places.ts";
import type { Terminal } from "../terminal.ts";

export const costs: Command = {
  name: "costs",
  summary: "show what was spent and what is left, also when nothing is running",
  usage: "[--by agent|scope|model] [--json] [--state DIR]",
  options: {
    by: { value: "WHAT", help: "sum by agent and model (default), by scope (fleet, teams, agents), or by model" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [0, 0],
  async run(input, context) {
    const by = input.text("by") ?? "agent";
    if (!isGrouping(by)) throw usageFailure(`cannot sum by \`${by}\``, "say --by agent, --by scope or --by model");
    const { state } = placesOf(input, context);
    const found = await askDeskOr(
      state,
      (desk) => desk.costs(),
      () => meshJson<Costs>(context, ["costs", "--state", state], [0]),
    );
    if (input.flag("json")) context.terminal.json(found);
    else printCosts(found, context.terminal, by);
    return 0;
  },
};

type Grouping = "agent" | "scope" | "model";
const isGrouping = (text: string): text is Grouping => ["agent", "scope", "model"].includes(text);

interface Total {
  readonly of: string;
  readonly model: string;
  readonly calls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly microUsd: number;
}

function totalsBy(found: Costs, by: Grouping): Total[] {
  if (by === "agent") return found.totals.map(({ agent, ...total }) => ({ of: agent, ...total }));
  const scopes = found.scopes ?? [];
  if (by === "scope") return scopes.map(({ scope, ...total }) => ({ of: scope, ...total }));
  // Every call counts once in the fleet.
  return scopes.filter(({ scope }) => scope === "fleet").map(({ scope, ...total }) => ({ of: scope, ...total }));
}

export function printCosts(found: Costs, terminal: Terminal, by: Grouping = "agent"): void {
  terminal.table(
    [by === "agent" ? "agent" : "scope", "model", "calls", "tokens in", "tokens out", "cost"],
    totalsBy(found, by).map((row) => [
      row.of,
      row.model,
      String(row.calls),
      String(row.inputTokens),
      String(row.outputTokens),
      formatUsd(row.microUsd),
    ]),
  );
  terminal.print("");
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

export const amountOf = (line: Pick<BudgetLine, "unit">, amount: number): string =>
  line.unit === "usd" ? formatUsd(amount) : line.unit === "bytes" ? formatBytes(amount) : `${amount} ${line.unit}`;

/** `rolling:21600000` → `any 6h`. */
function windowText(window: string): string {
  const spanMs = window.startsWith("rolling:") ? Number(window.slice("rolling:".length)) : NaN;
  if (!Number.isSafeInteger(spanMs)) return window;
  return spanMs % HOUR_MS === 0 ? `any ${spanMs / HOUR_MS}h` : `any ${Math.round(spanMs / 60_000)}m`;
}
const HOUR_MS = 3_600_000;

function shareOf(line: BudgetLine): Line {
  if (line.cap === null || line.cap === 0) return "-";
  const percent = Math.floor(((line.settled + line.reserved) / line.cap) * 100);
  return tint(percent >= 95 ? "bad" : percent >= 80 ? "warn" : "good", `${percent} %`);
}
