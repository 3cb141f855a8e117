import type { BudgetRefusal, CapUnits, Ledger, Scope } from "../../ledger/ledger.ts";
import type { StepBudget } from "../definition.ts";
import type { RunDriver } from "./run-driver.ts";
import { definitionOf, noRaise, splitTask, stepOf, type RunState } from "./state.ts";

/** A budget that a task spends from, and whose it is. */
export interface Purse {
  readonly scope: Scope;
  readonly caps: CapUnits;
  readonly budgetOf: "run" | "step" | undefined;
}

/** The caps of runs and steps in the ledger. What is spent before a crash, or in an earlier attempt, counts. */
export class Budgets {
  readonly #ledger: Pick<Ledger, "openScope" | "closeScope">;
  readonly #open = new Map<string, Set<Scope>>();

  constructor(ledger: Pick<Ledger, "openScope" | "closeScope">) {
    this.#ledger = ledger;
  }

  /** Those that have a cap, the widest first; open from now on, with what people have added. */
  of({ workflow, state }: Pick<RunDriver, "workflow" | "state">, task: string): readonly Purse[] {
    const { run, tasks } = state;
    const { step } = splitTask(task);
    const wanted = [
      purse(`run:${run}`, workflow.budget, state, "run"),
      ...(step === task ? [] : [purse(scopeOf(run, step), stepOf(workflow, step)?.budget, tasks.get(step), "step")]),
      purse(scopeOf(run, task), definitionOf(workflow, task)?.budget, tasks.get(task), undefined),
    ];
    const purses = wanted.filter(({ caps }) => Object.keys(caps).length > 0);
    const open = this.#open.get(run) ?? new Set();
    for (const { scope, caps } of purses) {
      this.#ledger.openScope(scope, caps);
      this.#open.set(run, open.add(scope));
    }
    return purses;
  }

  /** The run has ended: nothing is spent for it any more. */
  close(run: string): void {
    for (const scope of this.#open.get(run) ?? []) this.#ledger.closeScope(scope);
    this.#open.delete(run);
  }
}

/** An item of a map is `map.3`: a scope has no brackets. */
const scopeOf = (run: string, task: string): Scope => `step:${run}/${task.replace("[", ".").replace("]", "")}`;

function purse(
  scope: Scope,
  budget: StepBudget | undefined,
  holder: Pick<RunState, "raise"> | undefined,
  budgetOf: Purse["budgetOf"],
): Purse {
  const { tokens, microUsd } = holder?.raise ?? noRaise;
  const caps: CapUnits = {
    ...(budget && budget.tokens !== null && { tokens: budget.tokens + tokens }),
    ...(budget && budget.microUsd !== null && { usd: budget.microUsd + microUsd }),
  };
  return { scope, caps, budgetOf };
}

/** No wait brings room: what is spent for certain leaves too little. Otherwise only other calls have to end first. */
export const usedUp = ({ wanted, cap, settled }: BudgetRefusal): boolean => wanted > cap - settled;

export const wordsOf = ({ scope, unit, cap }: BudgetRefusal): string =>
  `the budget of \`${scope}\` is used up: ${cap} ${unit === "usd" ? "micro-USD" : unit}`;
