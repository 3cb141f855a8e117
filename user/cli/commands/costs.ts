import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { formatUsd } from "../../../lib/units.ts";
import type { Costs } from "../../../protocol/desk.ts";
import { spendingGroupings, type Spending, type SpendingGrouping } from "../../../protocol/money.ts";
import { jsonOption, stateOptions, type Command, type Context, type Input } from "../command.ts";
import { codeOf, Failure, usageFailure, type ExitCode } from "../failure.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { placesOf } from "../places.ts";
import { printBudgets, printCosts, printReconciled, printSpending } from "../spending/cost-view.ts";
import { spendingCsv } from "../spending/csv.ts";
import { focusCsv } from "../spending/focus.ts";
import { reconcile } from "../spending/reconcile.ts";
import { askedDay, sinceOf, within, type Since } from "../spending/since.ts";
import { readUsageExport, usageFileBytesMax } from "../spending/usage-export.ts";

export const costs: Command = {
  name: "costs",
  summary: "show what was spent and what is left, also when nothing is running",
  usage:
    "[--by agent|team|tenant|model|run|credential|scope] [--since TIME] [--csv | --focus | --json] | reconcile --from FILE",
  options: {
    by: { value: "WHAT", help: "sum by agent (default), team, tenant, model, run, credential, or by scope" },
    since: { value: "TIME", help: "only from then on: `today`, `7d`, or a day like 2026-11-22" },
    csv: { help: "print one line a day as CSV; costs in micro-USD" },
    focus: { help: "print a FOCUS 1.2 data set (finops.org) as CSV" },
    from: { value: "FILE", help: "with `reconcile`: what the provider says was used (CSV or JSON)" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [0, 1],
  notes: [
    "`reconcile` compares the ledger with a provider's own usage, day by day and model by model; exit code 1 where they differ.",
    "The file has the columns date, provider, model, input_tokens, output_tokens, cost_usd; and if known cache_read_tokens, cache_write_tokens, requests.",
  ],
  async run(input, context) {
    const [word] = input.words;
    if (word !== undefined && word !== "reconcile")
      throw usageFailure(`\`cordon costs\` cannot \`${word}\``, "say `reconcile`, or nothing");
    const since = sinceOf(input.text("since"));
    const forms = ["csv", "focus", "json"].filter((name) => input.flag(name));
    if (forms.length > 1) throw usageFailure(`\`--${forms.join("` and `--")}\` exclude each other`, "give one of them");
    if (word === "reconcile") return compare(input, context, since);
    if (input.text("from") !== undefined)
      throw usageFailure("`--from` is for `reconcile`", "cordon costs reconcile --from FILE");
    return show(input, context, since);
  },
};

async function show(input: Input, context: Context, since: Since | undefined): Promise<ExitCode> {
  const { terminal } = context;
  const given = input.text("by");
  const by = spendingGroupings.find((each) => each === (given ?? "agent"));
  if (by === undefined && given !== "scope")
    throw usageFailure(
      `cannot sum by \`${given}\``,
      "say --by agent, --by team, --by tenant, --by model, --by run, --by credential or --by scope",
    );
  const { state } = placesOf(input, context);
  if (input.flag("csv") || input.flag("focus")) {
    const { rows } = await spendingOf(state, given === undefined ? "all" : (by ?? "all"), since, context);
    context.stdout.write(input.flag("csv") ? spendingCsv(rows) : focusCsv(rows, "cordon"));
    return 0;
  }
  const found = await costsOf(state, context);
  const daily = by === undefined ? undefined : await spendingOf(state, by, since, context);
  if (input.flag("json")) terminal.json(daily ? { ...found, spending: daily } : found);
  else if (daily === undefined) printCosts(found, terminal, "scope");
  else {
    printSpending(daily, terminal);
    terminal.print("");
    printBudgets(found, terminal);
  }
  return 0;
}

const costsOf = (state: string, context: Context): Promise<Costs> =>
  askDeskOr(
    state,
    (desk) => desk.costs(),
    () => meshJson<Costs>(context, ["costs", "--state", state], [0]),
  );

async function spendingOf(
  state: string,
  by: SpendingGrouping,
  since: Since | undefined,
  context: Context,
): Promise<Spending> {
  const from = askedDay(since, context.clock.nowMs());
  const found = await askDeskOr(
    state,
    (desk) => desk.spending(by, from),
    () => meshJson<Spending>(context, ["spending", by, from, "--state", state], [0]),
  );
  if (found.truncated) throw new Failure("there is more than one view can hold", "ask for fewer days with `--since`");
  return { ...found, rows: found.rows.filter(within(since, found.today)) };
}

async function compare(input: Input, context: Context, since: Since | undefined): Promise<ExitCode> {
  const name = input.text("from");
  if (name === undefined)
    throw usageFailure("`reconcile` needs what the provider says", "cordon costs reconcile --from FILE");
  const read = readUsageExport(readBounded(resolve(context.cwd, name), name));
  if (!read.ok)
    throw new Failure(`\`${name}\` is not understood: ${read.error}`, "see `cordon costs --help` for its form");
  const days = read.value.map(({ day }) => day).toSorted();
  const { state } = placesOf(input, context);
  const { rows, today } = await spendingOf(
    state,
    "model",
    since ?? (days[0] === undefined ? undefined : { day: days[0] }),
    context,
  );
  const kept = within(since, today);
  const last = days.at(-1) ?? today;
  // What the provider has not reported yet is no difference, nor is a provider that the file does not name.
  const providers = new Set(read.value.map(({ model }) => model.slice(0, model.indexOf("/"))));
  const ours = rows.filter(({ day, model }) => day <= last && providers.has(model.slice(0, model.indexOf("/"))));
  const differences = reconcile(ours, read.value.filter(kept));
  if (input.flag("json")) context.terminal.json({ currency: "micro-USD", differences });
  else printReconciled(differences, context.terminal);
  const wrong = differences.filter(({ agrees }) => !agrees);
  if (wrong.length > 0)
    context.terminal.note(
      `${wrong.length} of ${differences.length} differ, by ${formatUsd(wrong.reduce((sum, each) => sum + each.microUsd, 0))}`,
    );
  return wrong.length > 0 ? 1 : 0;
}

function readBounded(path: string, name: string): Buffer {
  try {
    if (statSync(path).size > usageFileBytesMax)
      throw new Failure(`\`${name}\` is larger than ${usageFileBytesMax} bytes`, "give fewer days");
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`cannot read \`${name}\`: ${codeOf(error)}`, "name a file that is there");
  }
}
