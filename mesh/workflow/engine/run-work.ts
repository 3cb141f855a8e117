import { assert } from "../../../lib/assert.ts";
import type { BudgetRefusal, Scope } from "../../ledger/ledger.ts";
import { defaultTenant } from "../../store/statements.ts";
import type { Store } from "../../store/store.ts";
import { usedUp, wordsOf, type Budgets, type Purse } from "./budgets.ts";
import type { RunDriver } from "./run-driver.ts";

/** An agent's piece of work in a run, and in the runs that this one belongs to. */
export interface RunWork {
  /** The outermost run. */
  readonly trace: string;
  readonly run: string;
  readonly task: string;
  readonly attempt: number;
  /** The widest first. */
  readonly scopes: readonly Scope[];
  readonly signal: AbortSignal;
  /** One of `scopes` has refused a reservation: where no wait helps, its task is ended as its file says. */
  refused(cause: BudgetRefusal): void;
}

interface Place {
  readonly driver: RunDriver;
  readonly task: string;
  readonly purses: readonly Purse[];
}

/** Undefined when the task, or one that it is done for, is not under way. */
export function workAt(
  {
    store,
    budgets,
    driverOf,
  }: {
    readonly store: Pick<Store, "query">;
    readonly budgets: Budgets;
    driverOf(run: string): RunDriver | undefined;
  },
  run: string,
  task: string,
): RunWork | undefined {
  const places: Place[] = [];
  for (let at: { readonly run: string; readonly task: string } | undefined = { run, task }; at;) {
    const driver = driverOf(at.run);
    if (!driver) return undefined;
    places.push({ driver, task: at.task, purses: budgets.of(driver, at.task) });
    const row = store.query.workflow.run(defaultTenant, at.run);
    const parent = row?.parent ?? null;
    at = parent === null ? undefined : { run: parent, task: row?.parentTask?.split("/")[0] ?? "" };
  }
  const own = places[0];
  const signal = own?.driver.signalOf(task);
  const attempt = own?.driver.state.tasks.get(task)?.attempt;
  if (!signal || attempt === undefined) return undefined;
  return {
    ...{ run, task, attempt, signal },
    trace: places.at(-1)?.driver.state.run ?? run,
    scopes: places.toReversed().flatMap(({ purses }) => purses.map(({ scope }) => scope)),
    refused(cause) {
      if (!usedUp(cause)) return;
      const place = places.find(({ purses }) => purses.some(({ scope }) => scope === cause.scope));
      assert(place, "only a scope of the work refuses for it");
      const { budgetOf } = place.purses.find(({ scope }) => scope === cause.scope) ?? {};
      place.driver.overspent(place.task, wordsOf(cause), budgetOf);
    },
  };
}
