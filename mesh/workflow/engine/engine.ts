import type { Clock } from "../../../lib/clock.ts";
import type { Id } from "../../../lib/id.ts";
import { canonicalJson, type Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { type Label } from "../../../protocol/label.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import type { Audit } from "../../audit/audit.ts";
import type { Monitor } from "../../monitor/monitor.ts";
import { defaultTenant } from "../../store/statements.ts";
import type { Store, Write } from "../../store/store.ts";
import type { Plan, Task, Workflow } from "../definition.ts";
import { Admission } from "./admission.ts";
import { advance, unborn } from "./advance.ts";
import { openApprovals, type OpenApproval } from "./approval.ts";
import type { Effect, Entry, RunEvent, Spoken } from "./event.ts";
import { failure, type Job, type Performer, type Prepared } from "./job.ts";
import { appendWrite, jsonBytes, newRunWrites, outcomeOf, readRun } from "./journal.ts";
import type { Language } from "./language.ts";
import { digestOfPlan } from "../plan-digest.ts";
import { pathOfStep, unplanned, workflowAt } from "./plan-check.ts";
import { RunDriver, type DriverParts } from "./run-driver.ts";
import { definitionOf, finished, splitTask, type RunState } from "./state.ts";
import { childWork, type Children } from "./work/child.ts";

export interface EngineParts {
  readonly store: Store;
  readonly audit: Audit;
  readonly monitor: Pick<Monitor, "emit">;
  readonly clock: Clock;
  readonly ids: Id;
  readonly language: Language;
  /** Who does agent, tool and board work; `workflow` steps are the engine's own. */
  readonly performers: { readonly agent: Performer; readonly tool: Performer; readonly board: Performer };
  readonly worksMax?: number;
}

export interface StartRun {
  readonly plan: Plan;
  readonly input: Json;
  readonly label: Label;
  /** `principal:NAME`, `schedule:NAME`, `hook:NAME`. */
  readonly by: string;
}

/** Runs of workflows. What is told here is on disk; a run goes on by itself, also after a crash, once `recover` was called. */
export class WorkflowEngine {
  readonly #parts: EngineParts;
  readonly #drivers = new Map<string, RunDriver>();
  readonly #admission: Admission;
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #child: Performer;
  /** Where the messages of agent work belong. */
  readonly #messages = new Map<string, { readonly run: string; readonly task: string }>();

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#admission = new Admission(parts.worksMax);
    const children: Children = {
      prepare: (job) => this.#prepareChild(job),
      outcome: (run, signal) => this.outcome(run, signal),
      cancel: (run) => void this.#tell(run, { kind: "run.cancelled", by: "mesh", reason: "its step was ended" }),
    };
    this.#child = childWork(children);
  }

  /** Takes up every run that has not ended. A run whose plan was changed on disk stays where it is. */
  async recover(): Promise<void> {
    const { store, monitor } = this.#parts;
    const drivers: RunDriver[] = [];
    for (const row of store.query.workflow.open(defaultTenant)) {
      const stored = readRun(store, row);
      if (stored.ok) drivers.push(this.#drive(stored.value.plan, stored.value.workflow, stored.value.state));
      else monitor.emit("workflow.blocked", null, { run: row.id, reason: stored.error });
    }
    await Promise.all(drivers.map((driver) => driver.resume()));
    for (const { state } of drivers) await this.#endOrphan(state.run);
  }

  /** Resolves when the run and its first steps are on disk. */
  async start({ plan, input, label, by }: StartRun): Promise<Result<{ readonly run: string }, Refusal>> {
    const { ids } = this.#parts;
    const refused = this.#refuseStart(plan, plan.workflow, input);
    if (refused) return err(refused);
    const run = ids.next("run");
    const { driver, writes } = this.#newRun(plan, "", { id: run, parent: null, parentTask: null, by }, input, label);
    await this.#parts.audit.record(
      {
        kind: "workflow.started",
        subject: subjectOf(by),
        detail: { run, workflow: plan.workflow.name, plan: plan.digest, by },
      },
      writes,
    );
    this.#parts.monitor.emit("workflow.started", null, { run, workflow: plan.workflow.name });
    await driver.wake();
    return ok({ run });
  }

  pause = (run: string, by: string): Promise<Result<null, Refusal>> =>
    this.#control(run, by, (state) =>
      state.status === "running" ? { kind: "run.paused", by, reason: `paused by ${by}` } : undefined,
    );
  resume = (run: string, by: string): Promise<Result<null, Refusal>> =>
    this.#control(run, by, (state) => (state.status === "paused" ? { kind: "run.resumed", by } : undefined));
  cancel = (run: string, by: string): Promise<Result<null, Refusal>> =>
    this.#control(run, by, (state) =>
      state.cancelled === null ? { kind: "run.cancelled", by, reason: "cancelled" } : undefined,
    );

  /** A run that has ended begins anew at a step; what was done before it is kept. */
  async retry(run: string, from: string, by: string): Promise<Result<null, Refusal>> {
    const { store } = this.#parts;
    const row = store.query.workflow.run(defaultTenant, run);
    if (!row) return err(noRun(run));
    if (row.parent !== null)
      return err(refusal("conflict", `\`${run}\` belongs to \`${row.parent}\``, `retry a step of \`${row.parent}\``));
    if (row.finishedAtMs === null || this.#drivers.has(run))
      return err(refusal("conflict", `\`${run}\` has not ended`, "cancel it first"));
    const stored = readRun(store, row);
    if (!stored.ok) return err(refusal("conflict", `\`${run}\` cannot go on: ${stored.error}`, "start a new run"));
    const step = stored.value.workflow.steps.find(({ id }) => id === from);
    if (!step || step.standby)
      return err(refusal("not_found", `\`${run}\` has no step \`${from.slice(0, 64)}\``, "see `cordon runs show`"));
    await this.#parts.audit.record({ kind: "workflow.retried", subject: subjectOf(by), detail: { run, from } });
    await this.#drive(stored.value.plan, stored.value.workflow, stored.value.state).tell({
      kind: "run.retried",
      by,
      from,
    });
    return ok(null);
  }

  /** Once, to exactly the action of `hash`, by one who has a role that the step asks for. */
  async answer(
    run: string,
    answer: { readonly task: string; readonly hash: string; readonly approved: boolean },
    person: { readonly name: string; has(role: string): boolean },
  ): Promise<Result<null, Refusal>> {
    const driver = this.#drivers.get(run);
    if (!driver) return err(noRun(run));
    const { clock, audit } = this.#parts;
    const open = openApprovals(driver.workflow, driver.state).find(({ task }) => task === answer.task);
    if (!open || clock.nowMs() >= open.expiresAtMs)
      return err(
        refusal("not_found", `\`${run}\` asks nothing at \`${answer.task.slice(0, 64)}\``, "see `cordon runs show`"),
      );
    if (open.hash !== answer.hash)
      return err(refusal("conflict", "the action is not the one that was shown", "look at it again, then answer"));
    if (!open.roles.some((role) => person.has(role)))
      return err(
        refusal("denied", `\`${person.name}\` has none of the roles ${open.roles.join(", ")}`, "ask one who has"),
      );
    const { task, hash, approved } = answer;
    const event: Spoken = { kind: "approval.given", task, attempt: open.attempt, hash, approved, by: person.name };
    // The event changes the state in this tick: a second answer finds nothing to answer.
    const told = driver.tell(event);
    await audit.record({
      kind: "workflow.approval",
      subject: subjectOf(person.name),
      detail: { run, task, hash, approved },
    });
    await told;
    return ok(null);
  }

  /** What a run is waiting for a person to say. */
  approvals(): OpenApproval[] {
    return [...this.#drivers.values()].flatMap(({ workflow, state }) => openApprovals(workflow, state));
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
    this.#messages.delete(message);
    return undefined;
  }

  /** Resolves when the run has ended; at once when it had before. */
  async outcome(
    run: string,
    signal: AbortSignal,
  ): Promise<{ status: string; output: Json; label: Label; reason: string }> {
    while (this.#drivers.has(run) && !signal.aborted) await this.#nextEnd(run, signal);
    const last = outcomeOf(this.#parts.store, run);
    if (last) return last;
    return { status: "failed", output: null, label: UNKNOWN, reason: "its journal has no end" };
  }

  state(run: string): RunState | undefined {
    return this.#drivers.get(run)?.state;
  }

  /** Nothing is begun any more; what is under way is taken up by the next start. */
  close(): void {
    for (const driver of this.#drivers.values()) driver.close();
    for (const waiting of this.#waiting.values()) for (const wake of waiting) wake();
  }

  #refuseStart(plan: Plan, workflow: Workflow, input: Json): Refusal | undefined {
    if (digestOfPlan(plan) !== plan.digest)
      return refusal("conflict", "the plan is not the one of its digest", "plan it again");
    const fault = plan.findings.find(({ severity }) => severity === "error");
    if (fault) return refusal("denied", `the plan is not allowed: ${fault.message}`, fault.fix);
    return this.#refuseInput(workflow, input);
  }

  #refuseInput(workflow: Workflow, input: Json): Refusal | undefined {
    const { inputBytesMax, runsOpenMax } = limits.workflow;
    if (jsonBytes(input) > inputBytesMax)
      return refusal("too_large", `the input has more than ${inputBytesMax} bytes`, "hand over less");
    const misfit = this.#parts.language.misfit(workflow.input, input);
    if (misfit) return refusal("malformed", `the input does not fit: ${misfit}`, "see `input` in the workflow file");
    if (this.#drivers.size >= runsOpenMax)
      return refusal("busy", `${runsOpenMax} runs are open`, "wait until some have ended");
    return undefined;
  }

  #newRun(
    plan: Plan,
    path: string,
    row: {
      readonly id: string;
      readonly parent: string | null;
      readonly parentTask: string | null;
      readonly by: string;
    },
    input: Json,
    label: Label,
  ): { readonly driver: RunDriver; readonly writes: readonly Write[] } {
    const workflow = workflowAt(plan, path) ?? plan.workflow;
    const nowMs = this.#parts.clock.nowMs();
    const event: Spoken = { kind: "run.started", run: row.id, plan: plan.digest, path, input, label };
    const entry: Entry = { seq: 1, atMs: nowMs, event };
    const driver = this.#drive(plan, workflow, advance(workflow, unborn, entry));
    return { driver, writes: [...newRunWrites(plan, row, workflow, nowMs), appendWrite(row.id, entry)] };
  }

  #prepareChild(job: Job): Prepared | ReturnType<typeof failure> {
    const path = pathOfStep(job.path, splitTask(job.task).step);
    const workflow = workflowAt(job.plan, path);
    if (!workflow) return failure("plan", `the plan has no workflow at \`${path}\``);
    const refused = this.#refuseInput(workflow, job.input);
    if (refused) return failure(refused.code === "busy" ? "work" : "input", refused.reason);
    const row = {
      id: this.#parts.ids.next("run"),
      parent: job.run,
      parentTask: `${job.task}/${job.attempt}`,
      by: "mesh",
    };
    const { driver, writes } = this.#newRun(job.plan, path, row, job.input, job.label);
    const done = (): void => void driver.wake().catch((error: unknown) => this.#fault(driver, error));
    return { ok: true, effect: { run: row.id }, writes, done };
  }

  #drive(plan: Plan, workflow: Workflow, state: RunState): RunDriver {
    const driver = new RunDriver(plan, workflow, state, this.#driverParts());
    this.#drivers.set(state.run, driver);
    for (const [task, { effect, phase }] of state.tasks) if (phase === "running") this.#note(state.run, task, effect);
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

  #note(run: string, task: string, effect: Effect | null | undefined): void {
    if (effect && "message" in effect) this.#messages.set(effect.message, { run, task });
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
        if (work.kind === "workflow") return this.#child;
        return work.kind === "wait" && work.until.kind === "board" ? performers.board : undefined;
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
    const { status, reason } = state;
    this.#parts.monitor.emit(`workflow.${status}`, null, { run: state.run, reason: reason.slice(0, 400) });
    for (const wake of this.#waiting.get(state.run) ?? []) wake();
    for (const run of this.#admission.exit(state.run)) this.#wake(this.#drivers.get(run));
  }

  /** By priority, so that what is urgent gets the room. */
  #wakeAll(): void {
    const drivers = [...this.#drivers.values()].toSorted((a, b) => b.workflow.priority - a.workflow.priority);
    for (const driver of drivers) this.#wake(driver);
  }

  #wake(driver: RunDriver | undefined): void {
    driver?.wake().catch((error: unknown) => this.#fault(driver, error));
  }

  /** The step of a child was ended, and the mesh with it, before the child was told. */
  async #endOrphan(run: string): Promise<void> {
    const row = this.#parts.store.query.workflow.run(defaultTenant, run);
    if (!row || row.parent === null || row.finishedAtMs !== null) return;
    const [task = "", attempt = ""] = (row.parentTask ?? "").split("/");
    const parent = this.#drivers.get(row.parent)?.state.tasks.get(task);
    if (parent?.phase === "running" && parent.attempt === Number(attempt)) return;
    await this.#tell(run, { kind: "run.cancelled", by: "mesh", reason: "its step was ended" });
  }

  async #control(
    run: string,
    by: string,
    eventFor: (state: RunState) => Spoken | undefined,
  ): Promise<Result<null, Refusal>> {
    const driver = this.#drivers.get(run);
    if (!driver) return err(noRun(run));
    const event = eventFor(driver.state);
    if (!event || finished(driver.state))
      return err(refusal("conflict", `\`${run}\` is ${driver.state.status}`, "see `cordon runs show`"));
    await this.#parts.audit.record({
      kind: "workflow.control",
      subject: subjectOf(by),
      detail: { run, word: event.kind },
    });
    await this.#tell(run, event);
    return ok(null);
  }

  async #tell(run: string, event: Spoken): Promise<void> {
    const driver = this.#drivers.get(run);
    if (!driver || finished(driver.state)) return;
    await driver.tell(event).catch((error: unknown) => this.#fault(driver, error));
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
const subjectOf = (by: string): string => (/^principal:/.test(by) ? by : "mesh");
const UNKNOWN: Label = { integrity: "untrusted", confidentiality: "secret", sources: [] };
const noRun = (run: string): Refusal =>
  refusal("not_found", `no open run \`${run.slice(0, 64)}\``, "see `cordon runs`");
