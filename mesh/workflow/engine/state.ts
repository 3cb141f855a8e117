import type { Json } from "../../../lib/json.ts";
import type { Label } from "../../../protocol/label.ts";
import type { Step, Task, Workflow } from "../definition.ts";
import type { TaskTable } from "./task-table.ts";
import type { Effect, FailureCode, Raise, SkipCause } from "./event.ts";

/** All that is known of a run: a function of its journal and nothing else. Never changed in place. */
export interface RunState {
  readonly run: string;
  readonly plan: string;
  readonly path: string;
  readonly status: "running" | "paused" | "succeeded" | "failed" | "cancelled";
  /** Why it is paused, or has failed, or was cancelled. */
  readonly reason: string;
  readonly input: Json;
  readonly label: Label;
  readonly startedAtMs: number;
  /** Events so far, and the time of the last. */
  readonly seq: number;
  readonly atMs: number;
  readonly tasks: TaskTable;
  /** Set when the run cannot succeed any more. */
  readonly failure: { readonly task: string; readonly reason: string; readonly undo: boolean } | null;
  /** Who cancelled it and why. */
  readonly cancelled: string | null;
  readonly output: Json;
  /** What people have added to its budget. */
  readonly raise: Raise;
}

export interface TaskState {
  /** `idle`: was reset by a retry. `backoff`: waits for its next attempt. `held`: out of budget, until a person resumes. */
  readonly phase: "idle" | "running" | "backoff" | "held" | "succeeded" | "failed" | "skipped" | "cancelled";
  /** Counted over the whole run, so that no idempotency key is used twice. */
  readonly attempt: number;
  /** Attempts before the last retry by a person. */
  readonly base: number;
  /** Of the running attempt, or of the end. */
  readonly sinceMs: number;
  readonly retryAtMs: number;
  readonly input: Json;
  readonly label: Label | null;
  readonly output: Json;
  readonly effect: Effect | null;
  readonly code: FailureCode | SkipCause | null;
  readonly reason: string;
  /** Position in the journal at which it ended; 0 = not yet. */
  readonly endedSeq: number;
  /** What people have added to its budget; of a map step, to its items together. */
  readonly raise: Raise;
}

export const noRaise: Raise = { tokens: 0, microUsd: 0 };

const endPhases: ReadonlySet<string> = new Set<TaskState["phase"]>(["succeeded", "failed", "skipped", "cancelled"]);
const activePhases: ReadonlySet<string> = new Set<TaskState["phase"]>(["running", "backoff", "held"]);

export const ended = (task: TaskState | undefined): boolean => task !== undefined && endPhases.has(task.phase);
export const active = (task: TaskState | undefined): boolean => task !== undefined && activePhases.has(task.phase);
export const finished = ({ status }: RunState): boolean => status !== "running" && status !== "paused";

export const itemKey = (step: string, index: number): string => `${step}[${index}]`;

/** `draft[3]` → `draft` and 3; `draft` → `draft` and null. */
export function splitTask(task: string): { readonly step: string; readonly index: number | null } {
  const open = task.indexOf("[");
  if (open < 0) return { step: task, index: null };
  return { step: task.slice(0, open), index: Number(task.slice(open + 1, -1)) };
}

/** A workflow is never changed, so what is found in it once stays found. */
const indexes = new WeakMap<Workflow, ReadonlyMap<string, Step>>();

export function stepOf(workflow: Workflow, task: string): Step | undefined {
  let index = indexes.get(workflow);
  if (!index) indexes.set(workflow, (index = new Map(workflow.steps.map((step) => [step.id, step]))));
  return index.get(splitTask(task).step);
}

/** What is tried: the step itself, or the inside of its map. */
export function definitionOf(workflow: Workflow, task: string): Task | undefined {
  const step = stepOf(workflow, task);
  if (!step || splitTask(task).index === null) return step;
  return step.work.kind === "map" ? step.work.each : undefined;
}
