import type { Clock } from "../../../lib/clock.ts";
import { canonicalJson, type Json } from "../../../lib/json.ts";
import type { Label } from "../../../protocol/label.ts";
import type { Audit } from "../../audit/audit.ts";
import type { Ledger } from "../../ledger/ledger.ts";
import type { Monitor } from "../../monitor/monitor.ts";
import type { Store } from "../../store/store.ts";
import type { Plan, Task, Workflow } from "../definition.ts";
import { Admission } from "./admission.ts";
import { Budgets } from "./budgets.ts";
import { workAt, type RunWork } from "./run-work.ts";
import type { Effect, RunEvent, Spoken } from "./event.ts";
import type { Performer } from "./job.ts";
import { outcomeOf } from "./journal.ts";
import type { Language } from "./language.ts";
import { unplanned } from "./plan-check.ts";
import { RunDriver, type DriverParts } from "./run-driver.ts";
import { definitionOf, finished, type RunState } from "./state.ts";

export interface OpenRunsParts {
  readonly store: Store;
  readonly audit: Audit;
  readonly monitor: Pick<Monitor, "emit">;
  readonly clock: Clock;
  readonly language: Language;
  /** Who does agent and tool work, and who waits for the board and for topics. */
  readonly performers: Readonly<Record<"agent" | "tool" | "board" | "topic", Performer>>;
  readonly ledger: Pick<Ledger, "openScope" | "closeScope">;
  readonly worksMax?: number;
}

/** The runs that have not ended, what they share, and who waits for them. */
export class OpenRuns {
  readonly #parts: OpenRunsParts & { readonly child: Performer };
  readonly #drivers = new Map<string, RunDriver>();
  readonly #admission: Admission;
  readonly #budgets: Budgets;
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Where the messages of agent work belong. */
  readonly #messages = new Map<string, { readonly run: string; readonly task: string }>();
  readonly #recovered = new Set<string>();

  /** `child` does the work of `workflow` steps. */
  constructor(parts: OpenRunsParts, child: Performer) {
    this.#parts = { ...parts, child };
    this.#admission = new Admission(parts.worksMax);
    this.#budgets = new Budgets(parts.ledger);
  }

  get size(): number {
    return this.#drivers.size;
  }
  get(run: string): RunDriver | undefined {
    return this.#drivers.get(run);
  }
  all(): RunDriver[] {
    return [...this.#drivers.values()];
  }

  /** A run that is open from now on; nothing happens before it is woken. */
  drive(plan: Plan, workflow: Workflow, state: RunState): RunDriver {
    const driver = new RunDriver(plan, workflow, state, this.#driverParts());
    this.#drivers.set(state.run, driver);
    for (const [task, { effect, phase }] of state.tasks) {
      if (phase !== "running") continue;
      this.#note(state.run, task, effect);
      if (effect && "message" in effect) this.#recovered.add(effect.message);
    }
    const { concurrency } = workflow;
    const key =
      concurrency &&
      this.#parts.language.value(concurrency.key, { runId: state.run, input: state.input, outputs: new Map() });
    this.#admission.enter(
      state.run,
      key?.ok ? canonicalJson([workflow.name, key.value]) : null,
      concurrency?.limit ?? 1,
    );
    return driver;
  }

  async tell(run: string, event: Spoken): Promise<void> {
    const driver = this.#drivers.get(run);
    if (!driver || finished(driver.state)) return;
    await driver.tell(event).catch((error: unknown) => this.#fault(driver, error));
  }

  /** The work that a message to an agent stands for, while it is under way. */
  jobOfMessage(
    message: string,
  ): { readonly run: string; readonly task: string; readonly definition: Task } | undefined {
    const at = this.#messages.get(message);
    const driver = at && this.#drivers.get(at.run);
    const state = at && driver?.state.tasks.get(at.task);
    const definition = at && driver && definitionOf(driver.workflow, at.task);
    const same =
      state?.phase === "running" && state.effect && "message" in state.effect && state.effect.message === message;
    if (at && definition && same) return { ...at, definition };
    this.#forget(message);
    return undefined;
  }

  /** Whether an agent may have had this message in hand before the mesh was started. */
  perhapsInHand(message: string): boolean {
    return this.#recovered.has(message);
  }

  get hasRecovered(): boolean {
    return this.#recovered.size > 0;
  }

  /** The same with the runs that it belongs to and the budgets that it spends from. */
  workOfMessage(message: string): RunWork | undefined {
    const job = this.jobOfMessage(message);
    const runs = {
      store: this.#parts.store,
      budgets: this.#budgets,
      driverOf: (run: string) => this.#drivers.get(run),
    };
    return job && workAt(runs, job.run, job.task);
  }

  /** Resolves when the run has ended; at once when it had before. */
  async outcome(
    run: string,
    signal: AbortSignal,
  ): Promise<{ status: string; output: Json; label: Label; reason: string }> {
    let driver = this.#drivers.get(run);
    const known = driver;
    while (driver && !signal.aborted) {
      await this.#nextEnd(run, signal);
      driver = this.#drivers.get(run);
    }
    // What a driver has come to is on disk when it is no longer there.
    if (known && !driver && finished(known.state)) return known.state;
    const last = outcomeOf(this.#parts.store, run);
    if (last) return last;
    return { status: "failed", output: null, label: UNKNOWN, reason: "its journal has no end" };
  }

  close(): void {
    for (const driver of this.#drivers.values()) driver.close();
    for (const waiting of this.#waiting.values()) for (const wake of waiting) wake();
  }

  /** By priority, so that what is urgent gets the room. */
  #wakeAll(): void {
    const drivers = [...this.#drivers.values()].toSorted((a, b) => b.workflow.priority - a.workflow.priority);
    for (const driver of drivers) this.wake(driver);
  }

  wake(driver: RunDriver | undefined): void {
    driver?.wake().catch((error: unknown) => this.#fault(driver, error));
  }

  #note(run: string, task: string, effect: Effect | null | undefined): void {
    if (effect && "message" in effect) this.#messages.set(effect.message, { run, task });
  }

  #forget(message: string): void {
    this.#messages.delete(message);
    this.#recovered.delete(message);
  }

  #driverParts(): DriverParts {
    const { clock, language, performers, audit } = this.#parts;
    return {
      ...{ clock, language, unplanned },
      record: async (run, events, writes) => {
        for (const event of events) if (event.kind === "step.started") this.#note(run, event.task, event.effect);
        const detail = { run, events: summaryOf(events) };
        await audit.record({ kind: "workflow.advanced", subject: "mesh", detail }, writes);
        this.#parts.monitor.emit("workflow.advanced", null, { run, events: detail.events.slice(0, 8).join(", ") });
      },
      performerOf: ({ definition: { work } }) => {
        if (work.kind === "agent") return performers.agent;
        if (work.kind === "tool") return performers.tool;
        if (work.kind === "workflow") return this.#parts.child;
        if (work.kind !== "wait") return undefined;
        return work.until.kind === "board" || work.until.kind === "topic" ? performers[work.until.kind] : undefined;
      },
      admits: (driver, task) => {
        if (!this.#admission.isOpen(driver.state.run)) return false;
        const kind = definitionOf(driver.workflow, task)?.work.kind;
        return (kind !== "agent" && kind !== "tool") || this.#admission.take(`${driver.state.run} ${task}`);
      },
      left: (driver, task) => {
        if (this.#admission.give(`${driver.state.run} ${task}`)) queueMicrotask(() => this.#wakeAll());
      },
      onFinished: (driver) => this.#ended(driver),
      onFault: (driver, error) => this.#fault(driver, error),
    };
  }

  #ended({ state }: RunDriver): void {
    this.#drivers.delete(state.run);
    this.#budgets.close(state.run);
    for (const { effect } of state.tasks.values()) if (effect && "message" in effect) this.#forget(effect.message);
    const { status, reason } = state;
    this.#parts.monitor.emit(`workflow.${status}`, null, { run: state.run, reason: reason.slice(0, 400) });
    for (const wake of this.#waiting.get(state.run) ?? []) wake();
    for (const run of this.#admission.exit(state.run)) this.wake(this.#drivers.get(run));
  }

  #nextEnd(run: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(run) ?? new Set();
    this.#waiting.set(run, waiting.add(resolve));
    signal.addEventListener("abort", () => resolve(), { once: true });
    return promise.finally(() => {
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(run);
    });
  }

  #fault(driver: RunDriver, error: unknown): void {
    this.#parts.monitor.emit("mesh.fault", null, { run: driver.state.run, error: String(error).slice(0, 400) });
  }
}

/** Kinds and tasks, never data; bounded. */
function summaryOf(events: readonly RunEvent[]): string[] {
  const lines = events
    .slice(0, SUMMARY_LINES)
    .map((event) =>
      "task" in event ? `${event.kind} ${event.task}${"attempt" in event ? ` #${event.attempt}` : ""}` : event.kind,
    );
  return events.length > SUMMARY_LINES ? [...lines, `and ${events.length - SUMMARY_LINES} more`] : lines;
}

const SUMMARY_LINES = 64;
const UNKNOWN: Label = { integrity: "untrusted", confidentiality: "secret", sources: [] };
