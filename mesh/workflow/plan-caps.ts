import { formatUsd } from "../../lib/units.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Path } from "../config/source.ts";
import type { Caps } from "../ledger/ledger.ts";
import type { StepBudget, Task, Workflow, Worst } from "./definition.ts";
import type { Places } from "./places.ts";

/** An answer shorter than this is of no use; the door makes no call that cannot pay for it. */
const OUTPUT_TOKENS_MIN = 16;

interface Wall {
  readonly name: string;
  readonly tokens: number;
  readonly microUsd: number;
}

/** Caps that cannot hold what they promise: more than the wall around them, or less than one call needs. */
export function checkCaps(workflow: Workflow, fleet: Fleet, places: Places): void {
  const walls = wallsOf("the fleet", fleet.budget);
  compare(workflow.budget, walls, ["budget"], places);
  const run: Wall = {
    name: "the run",
    tokens: workflow.budget.tokens ?? Infinity,
    microUsd: workflow.budget.microUsd ?? Infinity,
  };
  for (const step of workflow.steps) checkTask(step, ["steps", step.id], [...walls, run], fleet, places);
}

function checkTask(task: Task, at: Path, walls: readonly Wall[], fleet: Fleet, places: Places): void {
  const { work, budget } = task;
  const agent = work.kind === "agent" ? fleet.agents.find(({ name }) => name === work.agent) : undefined;
  const around = agent ? [...walls, ...wallsOf(`\`${agent.name}\``, agent.budget)] : walls;
  compare(budget, around, [...at, "budget"], places);
  // The door reserves a token for every byte that it sends: less than the instructions can pay no call.
  const least = Buffer.byteLength(agent?.instructions ?? "") + OUTPUT_TOKENS_MIN;
  if (agent && budget.tokens !== null && budget.tokens < least)
    places.error(
      "cap",
      [...at, "budget", "tokens"],
      `${budget.tokens} tokens pay no single call of \`${agent.name}\`: one holds at least ${least}`,
      `set it to ${least} or more, or shorten the instructions`,
    );
  if (work.kind === "map") {
    const own: Wall = { name: "the map", tokens: budget.tokens ?? Infinity, microUsd: budget.microUsd ?? Infinity };
    checkTask(work.each, [...at, "map", "each"], [...walls, own], fleet, places);
  }
}

function compare(budget: StepBudget, walls: readonly Wall[], at: Path, places: Places): void {
  for (const { name, tokens, microUsd } of walls) {
    if (budget.tokens !== null && budget.tokens > tokens)
      places.error(
        "cap",
        [...at, "tokens"],
        `the cap of ${budget.tokens} tokens cannot hold: ${name} has ${tokens}`,
        `lower it to ${tokens} or less, or raise the other`,
      );
    if (budget.microUsd !== null && budget.microUsd > microUsd)
      places.error(
        "cap",
        [...at, "usd"],
        `the cap of ${formatUsd(budget.microUsd)} cannot hold: ${name} has ${formatUsd(microUsd)}`,
        `lower it, or raise the other`,
      );
  }
}

const wallsOf = (name: string, { day, month }: Caps): readonly Wall[] => [
  { name: `the day of ${name}`, tokens: day.tokens ?? Infinity, microUsd: day.usd ?? Infinity },
  { name: `the month of ${name}`, tokens: month.tokens ?? Infinity, microUsd: month.usd ?? Infinity },
];

/** The run may end early: its parts together can want more than its own cap gives. */
export function checkTotal(workflow: Workflow, sum: Worst, places: Places): void {
  const { tokens, microUsd, onBudget } = workflow.budget;
  const over = (tokens !== null && sum.tokens > tokens) || (microUsd !== null && (sum.microUsd ?? Infinity) > microUsd);
  const verb = { pause: "pauses", skip: "skips what is left", fail: "fails" }[onBudget];
  if (over)
    places.warning(
      "cap",
      ["budget"],
      `the steps together can use ${sum.tokens} tokens and ${sum.microUsd === null ? "money without a bound" : formatUsd(sum.microUsd)}: beyond its cap the run ${verb}`,
      "give the steps budgets that add up to it, or mean it so",
    );
}
