import type { Json } from "../../../lib/json.ts";
import type { Label } from "../../../protocol/label.ts";

/**
 * The journal's closed set of facts. What follows from the plan and from earlier facts is decided by `decideNext`;
 * the rest comes from outside: results of work and words of people. A task is a step (`draft`) or an item of a map
 * step (`draft[3]`).
 */
export type RunEvent = Decided | Reported | Spoken;

/** Follows from the plan: `replay` demands that `decideNext` gives the very same. */
export type Decided =
  | {
      readonly kind: "step.started";
      readonly task: string;
      readonly attempt: number;
      /** What the work is handed, all references resolved. */
      readonly input: Json;
      readonly label: Label;
      /** Names of what was set off in the same transaction; the only part that no plan gives. */
      readonly effect?: Effect;
    }
  | { readonly kind: "step.skipped"; readonly task: string; readonly why: SkipCause }
  /** The outcome of a task that other tasks or time alone decide. */
  | { readonly kind: "step.concluded"; readonly task: string; readonly output: Json; readonly label: Label }
  | { readonly kind: "step.broken"; readonly task: string; readonly code: FailureCode; readonly reason: string }
  | { readonly kind: "step.cancelled"; readonly task: string; readonly why: "join" | "run" | "timeout" }
  | {
      readonly kind: "run.finished";
      readonly status: "succeeded" | "failed" | "cancelled";
      readonly output: Json;
      readonly label: Label;
      readonly reason: string;
    };

/** What work came to, as the one who did it says. */
export type Reported =
  | {
      readonly kind: "step.succeeded";
      readonly task: string;
      readonly attempt: number;
      readonly output: Json;
      readonly label: Label;
    }
  | {
      readonly kind: "step.failed";
      readonly task: string;
      readonly attempt: number;
      readonly code: FailureCode;
      readonly reason: string;
      /** With code `budget`: whose is used up. Absent = the task's own. */
      readonly budgetOf?: "step" | "run";
    };

/** What a person or another part of the mesh wants. `by`: `principal:NAME`. */
export type Spoken =
  | {
      readonly kind: "run.started";
      readonly run: string;
      /** Digest of the plan. */
      readonly plan: string;
      /** Path of the workflow in the plan: empty, or ids of `workflow` steps joined by `/`. */
      readonly path: string;
      readonly input: Json;
      readonly label: Label;
    }
  | {
      readonly kind: "approval.given";
      readonly task: string;
      readonly attempt: number;
      /** Of the action that was shown. */
      readonly hash: string;
      readonly approved: boolean;
      readonly by: string;
    }
  | { readonly kind: "run.paused"; readonly by: string; readonly reason: string }
  /** `more` is added to the caps of the run and of what is held for want of budget. */
  | { readonly kind: "run.resumed"; readonly by: string; readonly more?: Raise }
  | { readonly kind: "run.cancelled"; readonly by: string; readonly reason: string }
  | { readonly kind: "run.retried"; readonly by: string; readonly from: string };

/** Tokens and micro-USD. */
export interface Raise {
  readonly tokens: number;
  readonly microUsd: number;
}

/** `after`: the position on a topic above which a message is waited for. */
export type Effect =
  | { readonly message: string; readonly conversation: string }
  | { readonly run: string }
  | { readonly after: number };

/** `when`: its condition is false. `needs`: what it waits for cannot come true. `error`, `budget`: as its file says. */
export type SkipCause = "when" | "needs" | "error" | "budget";

/**
 * `denied`, `input`, `plan`, `expired` and `budget` are not tried again; the others are, as often as the step says.
 * `lost`: nobody can tell whether the work was done.
 */
export type FailureCode =
  | "work"
  | "output"
  | "timeout"
  | "join"
  | "lost"
  | "denied"
  | "input"
  | "plan"
  | "expired"
  | "budget";

export const finalCodes: ReadonlySet<FailureCode> = new Set(["denied", "input", "plan", "expired", "budget", "lost"]);

export interface Entry {
  readonly seq: number;
  readonly atMs: number;
  readonly event: RunEvent;
}
