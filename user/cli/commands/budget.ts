import { formatUsd, parseBytes, parseCount, parseUsd } from "../../../lib/units.ts";
import type { Costs } from "../../../protocol/desk.ts";
import { BudgetInput, budgetUnits, type BudgetHistory } from "../../../protocol/money.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { usageFailure, type ExitCode } from "../failure.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { openDesk } from "../desk-client.ts";
import { placesOf } from "../places.ts";
import { amountOf, printBudgets, shareOf } from "../spending/cost-view.ts";
import { isoTime } from "./audit.ts";

export const budget: Command = {
  name: "budget",
  summary: "show budgets, set one while the fleet runs, or list what was set",
  usage: "show | set SCOPE day|month UNIT=AMOUNT... [--start] | history",
  options: {
    start: { help: "with `set`: start the agents again that were halted for this budget" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [1, 8],
  notes: [
    "SCOPE is `fleet`, `team:NAME`, `tenant:NAME` or `agent:NAME`; UNIT is usd, tokens, requests or bytes; AMOUNT `default` is what the fleet file says.",
    "What is set holds from the next call on, and over restarts; a cap below what is spent lets nothing more through.",
    "For example: cordon budget set agent:intern day usd=2.50 tokens=100k",
  ],
  async run(input, context) {
    const [verb = "", ...words] = input.words;
    const { state } = placesOf(input, context);
    const json = input.flag("json");
    if (verb === "set") return set(state, words, { json, start: input.flag("start") }, context);
    if (verb !== "show" && verb !== "history")
      throw usageFailure(`\`cordon budget\` cannot \`${verb}\``, "say show, set or history");
    if (words.length > 0) throw usageFailure(`\`cordon budget ${verb}\` takes no more words`, `cordon budget ${verb}`);
    return verb === "show" ? show(state, json, context) : history(state, json, context);
  },
};

async function show(state: string, json: boolean, context: Context): Promise<ExitCode> {
  const found = await askDeskOr(
    state,
    (desk) => desk.costs(),
    () => meshJson<Costs>(context, ["costs", "--state", state], [0]),
  );
  if (json) context.terminal.json({ currency: found.currency, lines: found.lines });
  else printBudgets(found, context.terminal);
  return 0;
}

async function set(
  state: string,
  words: readonly string[],
  { json, start }: { readonly json: boolean; readonly start: boolean },
  context: Context,
): Promise<ExitCode> {
  const [scope, window, ...amounts] = words;
  if (scope === undefined || window === undefined || amounts.length === 0)
    throw usageFailure("it is not said which budget is to be what", "cordon budget set agent:intern day usd=2.50");
  const inputs = amounts.map((amount) => inputOf(scope, window, amount));
  if (new Set(inputs.map(({ unit }) => unit)).size < inputs.length)
    throw usageFailure("a unit is given twice", "give each unit once");
  const desk = await openDesk(state);
  const lines = [];
  for (const input of inputs) lines.push(await desk.setBudget(input));
  if (json) context.terminal.json({ lines });
  for (const line of json ? [] : lines) {
    const cap = line.cap === null ? "no cap" : `at most ${amountOf(line, line.cap)}`;
    const used = `${amountOf(line, line.settled)} settled and ${amountOf(line, line.reserved)} reserved`;
    context.terminal.print([`${line.scope} ${line.window}: ${cap}, ${used}, `, ...partsOfShare(shareOf(line))]);
  }
  if (lines.some(({ cap, settled, reserved }) => cap !== null && settled + reserved > cap))
    context.terminal.note("what is spent is more than that already: nothing more will be let through");
  const halted = (await desk.status()).agents.filter(
    ({ phase, reason }) => phase === "halted" && reason.includes(`budget of \`${scope}\``),
  );
  for (const { name } of halted) {
    if (start) await desk.start(name);
    context.terminal.note(
      start ? `\`${name}\` starts again` : `\`${name}\` is still halted for it: add \`--start\` to start it again`,
    );
  }
  return 0;
}

const partsOfShare = (share: ReturnType<typeof shareOf>) => (Array.isArray(share) ? share : [share]);

function inputOf(scope: string, window: string, amount: string): BudgetInput {
  const mark = amount.indexOf("=");
  const unit = budgetUnits.find((each) => each === amount.slice(0, Math.max(0, mark)));
  if (unit === undefined)
    throw usageFailure(`\`${amount.slice(0, 60)}\` is no amount`, "write for example `usd=2.50` or `tokens=100k`");
  const text = amount.slice(mark + 1);
  const parse = unit === "usd" ? parseUsd : unit === "bytes" ? parseBytes : parseCount;
  const value = text === "default" ? undefined : parse(text);
  if (value && !value.ok) throw usageFailure(value.error, `write for example \`${unit}=${EXAMPLES[unit]}\``);
  const input = BudgetInput.safeParse({ scope, window, unit, cap: value ? value.value : null });
  if (input.success) return input.data;
  const [issue] = input.error.issues;
  throw usageFailure(
    `\`${String(issue?.path[0] ?? "budget")}\`: ${(issue?.message ?? "").toLowerCase()}`,
    "cordon budget set agent:intern day usd=2.50",
  );
}

const EXAMPLES = { usd: "2.50", tokens: "100k", requests: "500", bytes: "10MiB" } as const;

async function history(state: string, json: boolean, context: Context): Promise<ExitCode> {
  const found = await askDeskOr(
    state,
    (desk) => desk.budgets(),
    () => meshJson<BudgetHistory>(context, ["budgets", "--state", state], [0]),
  );
  if (json) context.terminal.json(found);
  else if (found.changes.length === 0) context.terminal.print("no budget was set: those of the fleet file hold");
  else
    context.terminal.table(
      ["at", "by", "scope", "window", "cap", ""],
      found.changes.map((each) => [
        isoTime(each.atMs),
        each.by,
        each.scope,
        each.window,
        each.cap === null ? `${each.unit}: as in the fleet file` : capText(each.unit, each.cap),
        each.holds ? "holds" : "",
      ]),
    );
  return 0;
}

const capText = (unit: BudgetInput["unit"], cap: number): string =>
  unit === "usd" ? formatUsd(cap) : amountOf({ unit }, cap);
