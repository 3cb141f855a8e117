import type { Json } from "../../../lib/json.ts";
import { joinLabels, type Label } from "../../../protocol/label.ts";
import type { Step, Workflow } from "../definition.ts";
import { scopeOf, inputOf, itemsOf, labelFor } from "./context.ts";
import type { Decided } from "./event.ts";
import type { Language } from "./language.ts";
import { mapProgress, readiness, settledFor } from "./readiness.ts";
import { active, definitionOf, ended, finished, itemKey, splitTask, type RunState } from "./state.ts";
import { dueAtMs, outcomeOfTime } from "./time.ts";

export interface Next {
  /** Independent of one another: each still follows when others of them have been applied. Empty = wait. */
  readonly events: readonly Decided[];
  /** When time alone will bring something, or null. */
  readonly wakeAtMs: number | null;
}

/** What follows from the plan and from what has happened. Pure: engine, replay and simulation share it. */
export function decideNext(workflow: Workflow, state: RunState, nowMs: number, language: Language): Next {
  if (state.seq === 0 || finished(state)) return { events: [], wakeAtMs: null };
  const events = decide(workflow, state, nowMs, language);
  return { events, wakeAtMs: events.length > 0 ? null : wakeTime(workflow, state) };
}

function decide(workflow: Workflow, state: RunState, nowMs: number, language: Language): Decided[] {
  const overtime = nowMs >= state.startedAtMs + workflow.timeoutMs;
  if (state.cancelled !== null || state.failure || overtime)
    return windDown(workflow, state, nowMs, language, overtime);
  const events = [...state.tasks.open].flatMap((task) => whileActive(workflow, state, task, nowMs));
  if (state.status === "paused") return events.filter(({ kind }) => kind === "step.broken");
  for (const step of byPriority(workflow)) {
    // Asked of every step at every event: most of them wait or have ended.
    const found = ofStep(workflow, state, step, nowMs, language);
    if (found !== NOTHING) events.push(...found);
  }
  if (events.length > 0) return events;
  // From the end, where what is still open stands in most files.
  const open = workflow.steps.findLast(
    ({ id, standby }) => standby?.as !== "compensate" && !settledFor(workflow, state, id),
  );
  return open ? [] : [success(workflow, state, language)];
}

const NOTHING: readonly Decided[] = [];

const sorted = new WeakMap<Workflow, readonly Step[]>();
function byPriority(workflow: Workflow): readonly Step[] {
  let steps = sorted.get(workflow);
  if (!steps) sorted.set(workflow, (steps = workflow.steps.toSorted((a, b) => b.priority - a.priority)));
  return steps;
}

/** What time or its items bring a task to that has been begun. */
function whileActive(workflow: Workflow, state: RunState, key: string, nowMs: number): Decided[] {
  const task = state.tasks.get(key);
  const definition = definitionOf(workflow, key);
  if (!task || !definition || task.phase !== "running") return [];
  const { work } = definition;
  const outcome = outcomeOfTime(definition, task, nowMs);
  const orphans = (why: "join" | "timeout"): Decided[] => cancelItems(state, key, why);
  if (outcome?.kind === "broken") {
    const cancelled = work.kind === "map" ? orphans("timeout") : [];
    if (cancelled.length > 0) return cancelled;
    return [{ kind: "step.broken", task: key, code: outcome.code, reason: outcome.reason }];
  }
  if (outcome) return [concluded(key, outcome.output, task.label)];
  if (work.kind !== "map") return [];
  const handed = itemsOf(state, key);
  const progress = mapProgress(handed.length, state.tasks.itemsOf(key), work.join);
  if (progress === "open") return [];
  const cancelled = orphans("join");
  if (cancelled.length > 0) return cancelled;
  if (progress === "impossible")
    return [{ kind: "step.broken", task: key, code: "join", reason: "too many items have failed" }];
  const items = handed.map((_, index) => state.tasks.get(itemKey(key, index)));
  const done = items.filter((item) => item?.phase === "succeeded");
  const label = done.reduce<Label | null>((sum, item) => join(sum, item?.label ?? null), task.label);
  return [
    concluded(
      key,
      items.map((item) => (item?.phase === "succeeded" ? item.output : null)),
      label,
    ),
  ];
}

function ofStep(
  workflow: Workflow,
  state: RunState,
  step: Step,
  nowMs: number,
  language: Language,
): readonly Decided[] {
  const task = state.tasks.get(step.id);
  if (task?.phase === "succeeded") return NOTHING;
  const { onError } = step;
  if (task?.phase === "failed" && onError.kind === "fallback") {
    const stand = state.tasks.get(onError.step);
    return stand?.phase === "succeeded" ? [concluded(step.id, stand.output, stand.label)] : NOTHING;
  }
  if (task?.phase === "running" && step.work.kind === "map") return moreItems(workflow, state, step, nowMs, language);
  if (task?.phase === "backoff")
    return task.retryAtMs <= nowMs ? [start(workflow, state, step, step.id, language)] : NOTHING;
  if (task && task.phase !== "idle") return NOTHING;
  const ready = readiness(workflow, state, step);
  if (ready === "waiting") return NOTHING;
  if (ready === "never") return [{ kind: "step.skipped", task: step.id, why: "needs" }];
  if (step.when) {
    const held = language.holds(step.when, scopeOf(workflow, state, step.id));
    if (!held.ok) return [{ kind: "step.broken", task: step.id, code: "input", reason: `\`when\`: ${held.error}` }];
    if (!held.value) return [{ kind: "step.skipped", task: step.id, why: "when" }];
  }
  return [start(workflow, state, step, step.id, language)];
}

/** Items in order, as many at a time as the map allows; some at once, as the next decision finds more. */
function moreItems(workflow: Workflow, state: RunState, step: Step, nowMs: number, language: Language): Decided[] {
  if (step.work.kind !== "map") return [];
  const count = itemsOf(state, step.id).length;
  const counts = state.tasks.itemsOf(step.id);
  if (mapProgress(count, counts, step.work.join) !== "open") return [];
  const free = Math.min(step.work.concurrency - counts.running, ITEMS_AT_ONCE);
  const begun: string[] = [];
  for (const key of waitingItems(state, step.id, nowMs)) if (begun.length < free) begun.push(key);
  // Items are begun in order: those that are not known yet follow all that are.
  for (let next = counts.known; next < count && begun.length < free; next++) begun.push(itemKey(step.id, next));
  const events: Decided[] = [];
  for (const key of begun) {
    const event = start(workflow, state, step, key, language);
    // One that cannot even begin waits for its turn, so that what is known stays the beginning of the list.
    if (event.kind !== "step.started" && events.some(({ kind }) => kind === "step.started")) break;
    events.push(event);
  }
  return events;
}

const ITEMS_AT_ONCE = 64;

/** Items that were begun before and are to be begun again, in order. */
function waitingItems(state: RunState, step: string, nowMs: number): string[] {
  const waiting: { readonly key: string; readonly index: number }[] = [];
  for (const key of state.tasks.open) {
    const at = splitTask(key);
    const task = state.tasks.get(key);
    if (at.step !== step || at.index === null) continue;
    if (task?.phase === "idle" || (task?.phase === "backoff" && task.retryAtMs <= nowMs))
      waiting.push({ key, index: at.index });
  }
  return waiting.sort((a, b) => a.index - b.index).map(({ key }) => key);
}

function start(workflow: Workflow, state: RunState, step: Step, key: string, language: Language): Decided {
  const definition = definitionOf(workflow, key) ?? step;
  const input = inputOf(definition, scopeOf(workflow, state, key), language);
  if (!input.ok) return { kind: "step.broken", task: key, code: "input", reason: input.error };
  const attempt = (state.tasks.get(key)?.attempt ?? 0) + 1;
  return { kind: "step.started", task: key, attempt, input: input.value, label: labelFor(workflow, state, step) };
}

/** The run cannot succeed any more: what is active is ended, what was done is undone if the file says so. */
function windDown(
  workflow: Workflow,
  state: RunState,
  nowMs: number,
  language: Language,
  overtime: boolean,
): Decided[] {
  const undoing = state.failure?.undo === true && state.cancelled === null && !overtime;
  const isUndo = (key: string): boolean =>
    undoing && workflow.steps.some(({ id, standby }) => id === splitTask(key).step && standby?.as === "compensate");
  const cancelled = [...state.tasks.open]
    .filter((key) => active(state.tasks.get(key)) && !isUndo(key))
    .map((task): Decided => ({ kind: "step.cancelled", task, why: overtime ? "timeout" : "run" }));
  if (cancelled.length > 0) return cancelled;
  const undo = undoing ? nextUndo(workflow, state, nowMs, language) : "done";
  if (undo !== "done") return undo;
  const status = state.cancelled === null ? "failed" : "cancelled";
  const reason =
    state.cancelled ?? (state.failure ? `\`${state.failure.task}\`: ${state.failure.reason}` : "timed out");
  return [{ kind: "run.finished", status, output: null, label: labelOfRun(state), reason }];
}

/** Compensations one at a time, that of what was done last first. */
function nextUndo(workflow: Workflow, state: RunState, nowMs: number, language: Language): Decided[] | "done" {
  if (state.status === "paused") return [];
  const endedSeq = (id: string): number => state.tasks.get(id)?.endedSeq ?? 0;
  const owners = workflow.steps
    .filter(({ id, compensate }) => compensate !== null && state.tasks.get(id)?.phase === "succeeded")
    .toSorted((a, b) => endedSeq(b.id) - endedSeq(a.id));
  const next = owners.find(({ compensate }) => !ended(state.tasks.get(compensate ?? "")));
  const step = workflow.steps.find(({ id }) => id === next?.compensate);
  if (!step) return "done";
  const phase = state.tasks.get(step.id)?.phase ?? "idle";
  if (phase === "running")
    return [...state.tasks.open]
      .filter((key) => splitTask(key).step === step.id)
      .flatMap((key) => whileActive(workflow, state, key, nowMs))
      .concat(moreItems(workflow, state, step, nowMs, language));
  const due = phase === "idle" || (phase === "backoff" && (state.tasks.get(step.id)?.retryAtMs ?? 0) <= nowMs);
  return due ? [start(workflow, state, step, step.id, language)] : [];
}

function success(workflow: Workflow, state: RunState, language: Language): Decided {
  const label = labelOfRun(state);
  const result = language.value(workflow.result, scopeOf(workflow, state, ""));
  const misfit = result.ok ? workflow.output && language.misfit(workflow.output, result.value) : result.error;
  if (!result.ok || misfit)
    return {
      kind: "run.finished",
      status: "failed",
      output: null,
      label,
      reason: `the result does not fit: ${misfit}`,
    };
  return { kind: "run.finished", status: "succeeded", output: result.value, label, reason: "" };
}

function labelOfRun(state: RunState): Label {
  let label = state.label;
  for (const task of state.tasks.values()) label = join(label, task.label) ?? label;
  return label;
}

const join = (a: Label | null, b: Label | null): Label | null => (a && b ? joinLabels(a, b) : (a ?? b));

const concluded = (task: string, output: Json, label: Label | null): Decided => ({
  kind: "step.concluded",
  task,
  output,
  label: label ?? { integrity: "untrusted", confidentiality: "secret", sources: [] },
});

function cancelItems(state: RunState, step: string, why: "join" | "timeout"): Decided[] {
  return [...state.tasks.open]
    .filter((key) => key.startsWith(`${step}[`) && active(state.tasks.get(key)))
    .map((task) => ({ kind: "step.cancelled", task, why }));
}

function wakeTime(workflow: Workflow, state: RunState): number {
  let atMs = state.startedAtMs + workflow.timeoutMs;
  for (const key of state.tasks.open) {
    const definition = definitionOf(workflow, key);
    const task = state.tasks.get(key);
    if (definition && task) atMs = Math.min(atMs, dueAtMs(definition, task));
  }
  return atMs;
}
