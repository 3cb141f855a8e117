import { assert, unreachable } from "../../../lib/assert.ts";
import { unlabelled } from "../../../protocol/label.ts";
import type { Task, Workflow } from "../definition.ts";
import { finalCodes, type Entry, type FailureCode, type Raise, type RunEvent } from "./event.ts";
import { backOffMs } from "./retry.ts";
import { TaskTable } from "./task-table.ts";
import {
  active,
  definitionOf,
  ended,
  finished,
  noRaise,
  splitTask,
  stepOf,
  type RunState,
  type TaskState,
} from "./state.ts";

const idle: TaskState = {
  ...{ phase: "idle", attempt: 0, base: 0, sinceMs: 0, retryAtMs: 0, input: null, label: null, output: null },
  ...{ effect: null, code: null, reason: "", endedSeq: 0, raise: noRaise },
};

/** The state before the first event. */
export const unborn: RunState = {
  ...{ run: "", plan: "", path: "", status: "running", reason: "", input: null, label: unlabelled, startedAtMs: 0 },
  ...{ seq: 0, atMs: 0, tasks: TaskTable.none, failure: null, cancelled: null, output: null },
  raise: noRaise,
};

/** Pure. An event that cannot follow on `state` is a broken journal and throws. */
export function advance(workflow: Workflow, state: RunState, entry: Entry): RunState {
  const { seq, atMs, event } = entry;
  assert(seq === state.seq + 1, "events follow one another without a gap");
  assert(atMs >= state.atMs, "the time of a journal never goes back");
  return apply(workflow, { ...state, seq, atMs }, event);
}

function apply(workflow: Workflow, state: RunState, event: RunEvent): RunState {
  if (event.kind === "run.started") {
    assert(state.seq === 1, "a run starts once");
    const { run, plan, path, input, label } = event;
    return { ...state, run, plan, path, input, label, startedAtMs: state.atMs };
  }
  assert(state.seq > 1, "a run begins with its start");
  if (event.kind === "run.retried") return retried(workflow, state, event.from);
  assert(!finished(state), "nothing follows the end of a run but a retry");
  switch (event.kind) {
    case "step.started":
      return started(workflow, state, event);
    case "step.succeeded":
    case "step.concluded":
      return succeeded(state, event);
    case "approval.given":
      return answered(workflow, state, event);
    case "step.failed":
    case "step.broken":
      if (event.kind === "step.failed") assertRunning(state, event.task, event.attempt);
      return failed(workflow, state, event);
    case "step.skipped":
      assert(!ended(state.tasks.get(event.task)) && !active(state.tasks.get(event.task)), "only what waits is skipped");
      return put(state, event.task, { phase: "skipped", code: event.why });
    case "step.cancelled":
      assert(active(state.tasks.get(event.task)), "only what runs is cancelled");
      return put(state, event.task, { phase: "cancelled", reason: event.why });
    case "run.paused":
      return { ...state, status: "paused", reason: event.reason };
    case "run.resumed":
      assert(state.status === "paused", "only what is paused is resumed");
      return { ...release(state, event.more ?? noRaise), status: "running", reason: "" };
    case "run.cancelled":
      return { ...state, status: "running", reason: "", cancelled: `${event.by}: ${event.reason}` };
    case "run.finished":
      return { ...state, status: event.status, output: event.output, reason: event.reason, label: event.label };
    default:
      return unreachable(event);
  }
}

function started(workflow: Workflow, state: RunState, event: Extract<RunEvent, { kind: "step.started" }>): RunState {
  const before = state.tasks.get(event.task) ?? idle;
  assert(!ended(before), "a task that has ended does not start again");
  assert(before.phase === "idle" || before.phase === "backoff", "a task runs once at a time");
  assert(event.attempt === before.attempt + 1, "attempts are counted without a gap");
  assert(definitionOf(workflow, event.task) !== undefined, "a task is one of the workflow");
  const { attempt, input, label, effect = null } = event;
  const begun = put(state, event.task, { phase: "running", attempt, input, label, effect, code: null, reason: "" });
  // A further attempt of a map repeats what has not been done yet.
  return attempt === 1
    ? begun
    : resetWhere(begun, (key, task) => isItemOf(event.task, key) && task.phase !== "succeeded");
}

function succeeded(state: RunState, event: Extract<RunEvent, { kind: "step.succeeded" | "step.concluded" }>): RunState {
  if (event.kind === "step.succeeded") assertRunning(state, event.task, event.attempt);
  // A failed step is concluded by its fallback.
  else assert(["running", "failed"].includes(state.tasks.get(event.task)?.phase ?? ""), "what is concluded was begun");
  const { output, label } = event;
  return put(state, event.task, { phase: "succeeded", output, label, code: null, reason: "" });
}

function answered(workflow: Workflow, state: RunState, event: Extract<RunEvent, { kind: "approval.given" }>): RunState {
  assertRunning(state, event.task, event.attempt);
  if (!event.approved)
    return failed(workflow, state, { task: event.task, code: "denied", reason: `${event.by} said no` });
  return put(state, event.task, { phase: "succeeded", output: { approved: true, by: event.by } });
}

interface Failed {
  readonly task: string;
  readonly code: FailureCode;
  readonly reason: string;
  readonly budgetOf?: "step" | "run";
}

function failed(workflow: Workflow, state: RunState, { task, code, reason, budgetOf }: Failed): RunState {
  const before = state.tasks.get(task) ?? idle;
  assert(!ended(before), "a task that has ended does not fail");
  const definition = definitionOf(workflow, task);
  const step = stepOf(workflow, task);
  assert(definition && step, "a task is one of the workflow");
  if (code === "budget")
    return (
      outOfBudget(state, task, budgetOf === undefined ? definition : budgetOf === "run" ? workflow : step, reason) ??
      ending(workflow, state, task, code, reason)
    );
  const tries = before.attempt - before.base;
  if (!finalCodes.has(code) && before.phase === "running" && tries < definition.retry.attempts) {
    const retryAtMs = state.atMs + backOffMs(definition.retry, state.run, task, tries, before.attempt);
    return put(state, task, { phase: "backoff", retryAtMs, code, reason });
  }
  return ending(workflow, state, task, code, reason);
}

function outOfBudget(
  state: RunState,
  task: string,
  { budget }: Pick<Task, "budget">,
  reason: string,
): RunState | undefined {
  if (budget.onBudget === "skip") return put(state, task, { phase: "skipped", code: "budget", reason });
  if (budget.onBudget === "fail") return undefined;
  return { ...put(state, task, { phase: "held", code: "budget", reason }), status: "paused", reason };
}

/** A failure for good. What it means for the run is the step's to say; for an item of a map, the map's. */
function ending(workflow: Workflow, state: RunState, task: string, code: FailureCode, reason: string): RunState {
  const { onError, standby } = stepOf(workflow, task) ?? {};
  if (splitTask(task).index !== null) return put(state, task, { phase: "failed", code, reason });
  if (onError?.kind === "skip") return put(state, task, { phase: "skipped", code: "error", reason });
  const after = put(state, task, { phase: "failed", code, reason });
  // What fails while the run is undone does not keep the rest from being undone.
  if (onError?.kind === "fallback" || standby?.as === "compensate") return after;
  return { ...after, failure: state.failure ?? { task, reason, undo: onError?.kind === "compensate" } };
}

/** What was held for want of budget tries again. */
function release(state: RunState, more: Raise): RunState {
  let { tasks } = state;
  const raised = new Set<string>();
  for (const [key, task] of state.tasks) {
    if (task.phase !== "held") continue;
    tasks = tasks.with(key, { ...task, phase: "backoff", retryAtMs: state.atMs, base: task.attempt });
    // An item is held by its own budget or by that of its map.
    raised.add(key).add(splitTask(key).step);
  }
  for (const key of raised) {
    const task = tasks.get(key);
    if (task) tasks = tasks.with(key, { ...task, raise: plus(task.raise, more) });
  }
  return { ...state, tasks, raise: plus(state.raise, more) };
}

const plus = (a: Raise, b: Raise): Raise => ({ tokens: a.tokens + b.tokens, microUsd: a.microUsd + b.microUsd });

/** `from`, all that needs it, all that was undone and all that did not succeed begin anew; the rest is kept. */
function retried(workflow: Workflow, state: RunState, from: string): RunState {
  assert(finished(state), "a run is retried when it has ended");
  const undone = workflow.steps.filter(
    ({ id, standby }) => standby?.as === "compensate" && state.tasks.get(id)?.phase === "succeeded",
  );
  const again = new Set([from, ...undone.flatMap(({ id, standby }) => [id, standby?.owner ?? id])]);
  for (const step of workflow.steps) {
    if (step.needs.some((need) => again.has(need)) || (step.standby && again.has(step.standby.owner)))
      again.add(step.id);
  }
  const reset = resetWhere(state, (key, task) => again.has(splitTask(key).step) || task.phase !== "succeeded");
  return {
    ...reset,
    status: "running",
    reason: "",
    startedAtMs: state.atMs,
    failure: null,
    cancelled: null,
    output: null,
  };
}

function resetWhere(state: RunState, chosen: (key: string, task: TaskState) => boolean): RunState {
  let { tasks } = state;
  for (const [key, task] of state.tasks) {
    if (chosen(key, task))
      tasks = tasks.with(key, { ...idle, attempt: task.attempt, base: task.attempt, raise: task.raise });
  }
  return { ...state, tasks };
}

const isItemOf = (step: string, key: string): boolean => key.startsWith(`${step}[`);

function put(state: RunState, key: string, change: Partial<TaskState>): RunState {
  const task: TaskState = { ...(state.tasks.get(key) ?? idle), ...change, sinceMs: state.atMs };
  const endedSeq = ended(task) ? state.seq : 0;
  return { ...state, tasks: state.tasks.with(key, { ...task, endedSeq }) };
}

function assertRunning(state: RunState, key: string, attempt: number): void {
  const task = state.tasks.get(key);
  assert(task?.phase === "running" && task.attempt === attempt, "a result belongs to the attempt that runs");
}
