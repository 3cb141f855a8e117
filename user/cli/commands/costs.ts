import { formatUsd } from "../../../lib/units.ts";
import type { BudgetLine, Costs } from "../../../protocol/desk.ts";
import { jsonOption, stateOptions, type Command } from "../command.ts";
import { tint, type Line } from "../line.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { placesOf } from "../places.ts";
import type { Terminal } from "../terminal.ts";

export const costs: Command = {
  name: "costs",
  summary: "show what was spent and what is left, also when nothing is running",
  usage: "[--json] [--state DIR]",
  options: { ...jsonOption, ...stateOptions },
  words: [0, 0],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const found = await askDeskOr(
      state,
      (desk) => desk.costs(),
      () => meshJson<Costs>(context, ["costs", "--state", state], [0]),
    );
    if (input.flag("json")) context.terminal.json(found);
    else printCosts(found, context.terminal);
    return 0;
  },
};

export function printCosts(found: Costs, terminal: Terminal): void {
  terminal.table(
    ["agent", "model", "calls", "tokens in", "tokens out", "cost"],
    found.totals.map((row) => [
      row.agent,
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
      line.window,
      amountOf(line, line.settled),
      amountOf(line, line.reserved),
      line.cap === null ? "none" : amountOf(line, line.cap),
      shareOf(line),
    ]),
  );
  terminal.print(tint("faint", `prices: ${found.priceSource}`));
}

export const amountOf = (line: Pick<BudgetLine, "unit">, amount: number): string =>
  line.unit === "usd" ? formatUsd(amount) : `${amount} tokens`;

function shareOf(line: BudgetLine): Line {
  if (line.cap === null || line.cap === 0) return "-";
  const percent = Math.floor(((line.settled + line.reserved) / line.cap) * 100);
  return tint(percent >= 95 ? "bad" : percent >= 80 ? "warn" : "good", `${percent} %`);
}
