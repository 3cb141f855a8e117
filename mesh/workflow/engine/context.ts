import type { Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { joinLabels, type Label } from "../../../protocol/label.ts";
import type { Step, Task, WaitUntil, Workflow } from "../definition.ts";
import type { Scope } from "../expression.ts";
import type { Language } from "./language.ts";
import { splitTask, stepOf, type RunState } from "./state.ts";

/** What the expressions of a task may see. */
export function scopeOf(workflow: Workflow, state: RunState, task: string): Scope {
  const { step, index } = splitTask(task);
  // Looked up, not gathered: a step of a long workflow refers to few of those before it.
  const outputs = {
    get: (id: string): Json | undefined => {
      const known = state.tasks.get(id);
      return known?.phase === "succeeded" ? known.output : undefined;
    },
  };
  const scope = { runId: state.run, input: state.input, outputs };
  const work = stepOf(workflow, step)?.work;
  if (index === null || work?.kind !== "map") return scope;
  return { ...scope, item: { name: work.as, value: itemsOf(state, step)[index] ?? null } };
}

/** The array that a map was begun with. */
export function itemsOf(state: RunState, step: string): readonly Json[] {
  const input = state.tasks.get(step)?.input as { readonly items?: readonly Json[] } | null | undefined;
  return input?.items ?? [];
}

/**
 * The join of all that can have flowed into a task: the run's input and every step before it, whether it was done or
 * not, because a condition tells of what it has seen. Standby steps may see every step.
 */
export function labelFor(workflow: Workflow, state: RunState, step: Step): Label {
  let label = state.label;
  for (const id of before(workflow, step)) {
    const known = state.tasks.get(id)?.label;
    if (known && known !== label) label = joinLabels(label, known);
  }
  return label;
}

const gathered = new WeakMap<Workflow, Map<string, readonly string[]>>();

/** The steps from which anything can have come: no event changes them, so they are gathered once. */
function before(workflow: Workflow, step: Step): readonly string[] {
  let ofSteps = gathered.get(workflow);
  if (!ofSteps) gathered.set(workflow, (ofSteps = new Map()));
  let ids = ofSteps.get(step.id);
  if (!ids) {
    // A set goes on to what is added to it while it is gone through.
    const found = new Set(step.standby ? workflow.steps.map(({ id }) => id) : step.needs);
    for (const id of found) for (const need of stepOf(workflow, id)?.needs ?? []) found.add(need);
    ofSteps.set(step.id, (ids = [...found]));
  }
  return ids;
}

/** What the work of a task is handed, all references resolved and checked; the error names what does not fit. */
export function inputOf(task: Task, scope: Scope, language: Language): Result<Json, string> {
  const handed = language.value(task.with, scope);
  if (!handed.ok) return handed;
  const misfit = task.input && language.misfit(task.input, handed.value);
  if (misfit) return err(`its input does not fit: ${misfit}`);
  const { work } = task;
  switch (work.kind) {
    case "agent":
      return together(language.value(work.task, scope), "task", handed.value);
    case "approve":
      return together(language.value(work.ask, scope), "ask", handed.value);
    case "map": {
      const over = language.value(work.over, scope);
      if (!over.ok) return over;
      if (!Array.isArray(over.value)) return err("`over` is not an array");
      if (over.value.length > work.itemsMax)
        return err(`\`over\` has ${over.value.length} items, more than ${work.itemsMax}`);
      return ok({ items: over.value as readonly Json[] });
    }
    case "wait":
      if (work.until.kind === "time") return together(language.value(work.until.at, scope), "at", null);
      if (work.until.kind === "board") return together(language.value(work.until.key, scope), "key", null);
      return work.until.kind === "topic" ? topicInput(work.until, scope, language) : ok(null);
    case "tool":
    case "workflow":
      return handed;
  }
}

function topicInput(
  { topic, after }: Extract<WaitUntil, { kind: "topic" }>,
  scope: Scope,
  language: Language,
): Result<Json, string> {
  const position = after && language.value(after, scope);
  if (position?.ok === false) return position;
  const named = language.value(topic, scope);
  return named.ok ? ok({ topic: named.value, after: position?.value ?? null }) : named;
}

const together = (first: Result<Json, string>, name: string, handed: Json): Result<Json, string> =>
  first.ok ? ok(handed === null ? { [name]: first.value } : { [name]: first.value, with: handed }) : first;
