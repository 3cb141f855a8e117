import type { Json } from "../../../lib/json.ts";
import type { Label } from "../../../protocol/label.ts";
import type { Write } from "../../store/store.ts";
import type { Plan, Task } from "../definition.ts";
import type { Effect, FailureCode } from "./event.ts";

/** One attempt of a task, as the one who does it sees it. */
export interface Job {
  readonly run: string;
  readonly plan: Plan;
  /** Of the workflow in the plan. */
  readonly path: string;
  readonly task: string;
  readonly attempt: number;
  readonly definition: Task;
  readonly input: Json;
  readonly label: Label;
  readonly effect: Effect | null;
}

/** Names an attempt to the outside: the same after a crash, another for each attempt. */
export const idempotencyKey = (job: Pick<Job, "run" | "task" | "attempt">): string =>
  `${job.run}/${job.task}/${job.attempt}`;

export type Outcome =
  | { readonly ok: true; readonly output: Json; readonly label: Label }
  | { readonly ok: false; readonly code: FailureCode; readonly reason: string };

export const failure = (code: FailureCode, reason: string): Extract<Outcome, { ok: false }> => ({
  ok: false,
  code,
  reason,
});

/** What belongs into the transaction that records a decision; `done` is called when it is on disk. */
export interface Prepared {
  readonly ok: true;
  readonly effect?: Effect;
  readonly writes: readonly Write[];
  done(): void;
}

export const nothingToPrepare: Prepared = { ok: true, writes: [], done: () => {} };

/** Does one kind of work. `perform` may be called again for the same job after a crash, and must not do it twice. */
export interface Performer {
  /** In the tick of the decision; a failure is that of this attempt. */
  prepare(job: Job): Prepared | Extract<Outcome, { ok: false }>;
  perform(job: Job, signal: AbortSignal): Promise<Outcome>;
  /**
   * Whether all that the work leaves behind are rows of our own store. Then it begins before the row that starts it is on
   * disk: rows are committed in the order of their decisions and none after one that failed, so no crash can show its
   * effect without its start. What reaches anything else has to wait. Absent = it waits.
   */
  staysInStore?(job: Job): boolean;
  /** Takes back what is under way; its rows are part of the transaction that records the end of the attempt. */
  withdraw?(job: Job): Prepared;
}
