import type { Join, Step, Workflow } from "../definition.ts";
import { ended, stepOf, type RunState } from "./state.ts";
import type { ItemCounts } from "./task-table.ts";

/** `never`: what the step waits for cannot come true any more. */
export type Readiness = "ready" | "waiting" | "never";

export function readiness(workflow: Workflow, state: RunState, step: Step): Readiness {
  if (step.standby) return standbyReadiness(workflow, state, step);
  if (step.needs.length === 0) return "ready";
  let done = 0;
  let open = 0;
  for (const id of step.needs) {
    const need = state.tasks.get(id);
    if (need?.phase === "succeeded") done++;
    else if (!need || !settledFor(workflow, state, id)) open++;
  }
  if (step.join.kind === "settled") return open === 0 ? "ready" : "waiting";
  const wanted = step.join.kind === "all" ? step.needs.length : step.join.kind === "any" ? 1 : step.join.n;
  if (done >= wanted) return "ready";
  return done + open < wanted ? "never" : "waiting";
}

/** A fallback waits for the failure of its owner and is not needed otherwise; compensations are `undo`'s. */
function standbyReadiness(workflow: Workflow, state: RunState, { standby }: Step): Readiness {
  if (standby?.as !== "fallback") return "waiting";
  const owner = state.tasks.get(standby.owner);
  if (owner?.phase === "failed") return "ready";
  return settledFor(workflow, state, standby.owner) ? "never" : "waiting";
}

/** Whether a step has come to its end; one that has failed has not while its fallback may still stand in, or is about to. */
export function settledFor(workflow: Workflow, state: RunState, id: string): boolean {
  const task = state.tasks.get(id);
  if (!ended(task)) return false;
  const onError = stepOf(workflow, id)?.onError;
  if (task?.phase !== "failed" || onError?.kind !== "fallback") return true;
  const stand = state.tasks.get(onError.step);
  return ended(stand) && stand?.phase !== "succeeded";
}

/** How a map stands: enough items are done, or enough have failed that it cannot come to that. */
export function mapProgress(items: number, counts: ItemCounts, join: Join): "reached" | "open" | "impossible" {
  const wanted = join.kind === "all" ? items : join.kind === "any" ? 1 : join.n;
  if (counts.succeeded >= wanted) return "reached";
  return items - counts.lost < wanted ? "impossible" : "open";
}
