import { assert } from "../../../lib/assert.ts";
import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Write } from "../../store/store.ts";
import type { Plan, Workflow } from "../definition.ts";
import { advance } from "./advance.ts";
import { decideNext } from "./decide-next.ts";
import type { Decided, Entry, Reported, RunEvent, Spoken } from "./event.ts";
import { failure, type Job, type Outcome, type Performer } from "./job.ts";
import { appendWrite, jsonBytes, statusWrite } from "./journal.ts";
import type { Language } from "./language.ts";
import { definitionOf, finished, type RunState } from "./state.ts";

export interface DriverParts {
  readonly clock: Clock;
  readonly language: Language;
  /** Commits the rows of one turn with a record of its events. */
  record(run: string, events: readonly RunEvent[], writes: readonly Write[]): Promise<void>;
  performerOf(job: Job): Performer | undefined;
  /** Why the plan does not name what a job would do; undefined when it does. */
  unplanned(job: Job): string | undefined;
  /** Whether a task of this run may begin now; where not, the driver is woken when that changes. */
  admits(driver: RunDriver, task: string): boolean;
  /** A task that was admitted has ended. */
  left(driver: RunDriver, task: string): void;
  onFinished(driver: RunDriver): void;
  onFault(driver: RunDriver, error: unknown): void;
}

/** Drives one run: every change of its state is an event, committed together with the rows that carry it out. */
export class RunDriver {
  readonly plan: Plan;
  readonly workflow: Workflow;
  readonly #parts: DriverParts;
  readonly #running = new Map<string, AbortController>();
  #timer: { readonly atMs: number; readonly stop: AbortController } | undefined;
  #closed = false;
  state: RunState;

  constructor(plan: Plan, workflow: Workflow, state: RunState, parts: DriverParts) {
    this.plan = plan;
    this.workflow = workflow;
    this.state = state;
    this.#parts = parts;
  }

  /** Goes on from the journal: what was under way is taken up again, then all that is ready. */
  resume(): Promise<void> {
    for (const [task, { phase }] of this.state.tasks) {
      if (phase !== "running") continue;
      this.#parts.admits(this, task);
      this.#perform(this.#job(task));
    }
    return this.wake();
  }

  /** Decides what time or room has made possible. */
  wake(): Promise<void> {
    return this.#closed || finished(this.state) ? Promise.resolve() : this.#turn([]);
  }

  /** Resolves when the event and all that follows from it at once are on disk. */
  tell(event: Spoken | Reported, writes: readonly Write[] = []): Promise<void> {
    return this.#closed ? Promise.resolve() : this.#turn([event], writes);
  }

  /** A task that is under way has used up a budget: it is ended, and what that means its file says. */
  overspent(task: string, reason: string, budgetOf?: "step" | "run"): void {
    const { phase, attempt } = this.state.tasks.get(task) ?? { phase: "idle", attempt: 0 };
    if (this.#closed || phase !== "running" || !this.#running.has(task)) return;
    const event: Reported = {
      kind: "step.failed",
      task,
      attempt,
      code: "budget",
      reason: reason.slice(0, REASON_CHARS_MAX),
    };
    this.tell(budgetOf ? { ...event, budgetOf } : event).catch((error: unknown) => this.#parts.onFault(this, error));
  }

  /** Aborted when the task, which is under way, is over for the run. */
  signalOf(task: string): AbortSignal | undefined {
    return this.#running.get(task)?.signal;
  }

  /** Nothing is decided any more; what is under way is left as it is. */
  close(): void {
    this.#closed = true;
    this.#timer?.stop.abort();
    for (const stop of this.#running.values()) stop.abort();
  }

  async #turn(first: readonly RunEvent[], more: readonly Write[] = []): Promise<void> {
    const turn: Turn = { events: [], writes: [...more], queued: [], after: [] };
    try {
      this.#decideAll(first, turn);
      const recorded =
        turn.events.length > 0 ? this.#parts.record(this.state.run, turn.events, turn.writes) : undefined;
      // The rows have their place in the order of commits now, and what stays in the store comes after them.
      for (const act of turn.queued) act();
      await recorded;
    } catch (error) {
      // Memory may be ahead of the disk: only the journal is to be believed now.
      this.close();
      throw error;
    }
    for (const act of turn.after) act();
  }

  #decideAll(first: readonly RunEvent[], turn: Turn): void {
    const { clock, language } = this.#parts;
    const wasStatus = this.state.status;
    for (const event of first) {
      // It did not end by itself: what it has set off is taken back.
      if (event.kind === "step.failed" && this.#running.has(event.task)) this.#withdraw(event.task, turn);
      this.#apply(event, turn);
    }
    let wakeAtMs: number | null = null;
    for (;;) {
      const next = decideNext(this.workflow, this.state, this.#nowMs(), language);
      wakeAtMs = next.wakeAtMs;
      const admitted = next.events.filter((event) => event.kind !== "step.started" || this.#admits(event.task));
      if (admitted.length === 0) break;
      for (const event of admitted) this.#carryOut(event, turn);
    }
    this.#wakeAt(wakeAtMs);
    if (turn.events.length > 0 && (this.state.status !== wasStatus || finished(this.state)))
      turn.writes.push(statusWrite(this.state, finished(this.state) ? clock.nowMs() : null));
  }

  #admits(task: string): boolean {
    return this.#running.has(task) || this.#parts.admits(this, task);
  }

  #carryOut(event: Decided, turn: Turn): void {
    switch (event.kind) {
      case "step.started":
        return this.#begin(event, turn);
      case "step.cancelled":
      case "step.broken":
        this.#withdraw(event.task, turn);
        return this.#apply(event, turn);
      default:
        return this.#apply(event, turn);
    }
  }

  #begin(event: Extract<Decided, { kind: "step.started" }>, turn: Turn): void {
    const { task, attempt, input, label } = event;
    const definition = definitionOf(this.workflow, task);
    assert(definition, "what is started is a task of the workflow");
    const at = { run: this.state.run, plan: this.plan, path: this.state.path };
    const job: Job = { ...at, task, attempt, definition, input, label, effect: null };
    const reason = this.#parts.unplanned(job);
    const performer = reason === undefined ? this.#parts.performerOf(job) : undefined;
    const prepared = performer?.prepare(job);
    if (prepared?.ok !== true) {
      this.#apply(event, turn);
      const failed = reason === undefined ? prepared : failure("plan", reason);
      if (failed) this.#parts.left(this, task);
      if (failed) this.#apply({ kind: "step.failed", task, attempt, code: failed.code, reason: failed.reason }, turn);
      return;
    }
    const { effect, writes, done } = prepared;
    this.#apply(effect ? { ...event, effect } : event, turn);
    turn.writes.push(...writes);
    this.#running.set(task, new AbortController());
    const begun = { ...job, effect: effect ?? null };
    turn.after.push(done);
    (performer?.staysInStore?.(begun) ? turn.queued : turn.after).push(() => this.#perform(begun));
  }

  /** Ends what is under way for a task that is over; its rows go with the event that says so. */
  #withdraw(task: string, turn: Turn): void {
    if (this.state.tasks.get(task)?.phase !== "running") return;
    const job = this.#job(task);
    const taken = this.#parts.performerOf(job)?.withdraw?.(job);
    if (taken) {
      turn.writes.push(...taken.writes);
      turn.after.push(taken.done);
    }
    this.#running.get(task)?.abort();
    this.#leave(task);
  }

  #perform(job: Job): void {
    const performer = this.#parts.performerOf(job);
    const stop = this.#running.get(job.task) ?? new AbortController();
    if (!performer || stop.signal.aborted || this.#closed) return;
    this.#running.set(job.task, stop);
    performer.perform(job, stop.signal).then(
      (outcome) => this.#report(job, stop, outcome),
      (error: unknown) => {
        if (stop.signal.aborted || this.#closed) return;
        this.#parts.onFault(this, error);
        this.#report(job, stop, failure("work", "the work failed inside the mesh"));
      },
    );
  }

  #report({ task, attempt, definition }: Job, stop: AbortController, outcome: Outcome): void {
    const state = this.state.tasks.get(task);
    if (this.#closed || stop.signal.aborted || state?.phase !== "running" || state.attempt !== attempt) return;
    this.#leave(task);
    const fault = outcome.ok ? this.#unfit(definition.output, outcome.output) : undefined;
    const told = fault === undefined ? outcome : failure("output", fault);
    const event: Reported = told.ok
      ? { kind: "step.succeeded", task, attempt, output: told.output, label: told.label }
      : { kind: "step.failed", task, attempt, code: told.code, reason: told.reason.slice(0, REASON_CHARS_MAX) };
    this.tell(event).catch((error: unknown) => this.#parts.onFault(this, error));
  }

  #unfit(schema: Job["definition"]["output"], output: Extract<Outcome, { ok: true }>["output"]): string | undefined {
    if (jsonBytes(output) > limits.workflow.outputBytesMax)
      return `its output is larger than ${limits.workflow.outputBytesMax} bytes`;
    const misfit = schema && this.#parts.language.misfit(schema, output);
    return misfit ? `its output does not fit: ${misfit}` : undefined;
  }

  #leave(task: string): void {
    if (this.#running.delete(task)) this.#parts.left(this, task);
  }

  #job(task: string): Job {
    const definition = definitionOf(this.workflow, task);
    const state = this.state.tasks.get(task);
    assert(definition && state?.label, "what runs is a task of the workflow");
    const { attempt, input, label, effect } = state;
    return {
      run: this.state.run,
      plan: this.plan,
      path: this.state.path,
      task,
      attempt,
      definition,
      input,
      label,
      effect,
    };
  }

  #apply(event: RunEvent, turn: Turn): void {
    const entry: Entry = { seq: this.state.seq + 1, atMs: this.#nowMs(), event };
    this.state = advance(this.workflow, this.state, entry);
    turn.events.push(event);
    turn.writes.push(appendWrite(this.state.run, entry));
    if (event.kind !== "run.finished") return;
    turn.after.push(() => this.#parts.onFinished(this));
  }

  /** A journal's time never goes back, though the clock of the machine may. */
  #nowMs(): number {
    return Math.max(this.state.atMs, this.#parts.clock.nowMs());
  }

  #wakeAt(atMs: number | null): void {
    const over = atMs === null || finished(this.state) || !Number.isFinite(atMs);
    // One that rings too early finds nothing to do and is set again: cheaper than another timer for every step.
    if (!over && this.#timer && this.#timer.atMs <= atMs) return;
    this.#timer?.stop.abort();
    this.#timer = undefined;
    if (over) return;
    const stop = new AbortController();
    this.#timer = { atMs, stop };
    const waitMs = Math.min(Math.max(0, atMs - this.#parts.clock.nowMs()), TIMER_MS_MAX);
    this.#parts.clock.sleep(waitMs, stop.signal).then(
      () => {
        this.#timer = undefined;
        this.wake().catch((error: unknown) => this.#parts.onFault(this, error));
      },
      () => {},
    );
  }
}

interface Turn {
  readonly events: RunEvent[];
  readonly writes: Write[];
  /** Done when the rows are on their way to the disk, in this tick. */
  readonly queued: (() => void)[];
  /** Done when they are on it. */
  readonly after: (() => void)[];
}

const REASON_CHARS_MAX = 400;
/** A timer cannot wait longer (2^31 - 1 ms). */
const TIMER_MS_MAX = 2_147_483_647;
