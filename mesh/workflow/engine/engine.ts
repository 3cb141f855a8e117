import type { Id } from "../../../lib/id.ts";
import type { Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import type { Label } from "../../../protocol/label.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { defaultTenant } from "../../store/statements.ts";
import type { Write } from "../../store/store.ts";
import type { Plan, Workflow } from "../definition.ts";
import { advance, unborn } from "./advance.ts";
import { openApprovals, type OpenApproval } from "./approval.ts";
import type { Entry, Raise, Spoken } from "./event.ts";
import { failure, type Job, type Prepared } from "./job.ts";
import { appendWrite, jsonBytes, newRunWrites, readRun } from "./journal.ts";
import { digestOfPlan } from "../plan-digest.ts";
import { pathOfStep, workflowAt } from "./plan-check.ts";
import type { RunDriver } from "./run-driver.ts";
import { finished, splitTask, type RunState } from "./state.ts";
import { OpenRuns, type OpenRunsParts } from "./open-runs.ts";
import { childWork, type Children } from "./performers/child.ts";

export interface EngineParts extends OpenRunsParts {
  readonly ids: Id;
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
  readonly #open: OpenRuns;
  /** Plans that are on disk with the digest that they say: those of schedules and webhooks are started again and again. */
  readonly #kept = new WeakSet<Plan>();

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const children: Children = {
      prepare: (job) => this.#prepareChild(job),
      outcome: (run, signal) => this.#open.outcome(run, signal),
      cancel: (run) => void this.#open.tell(run, { kind: "run.cancelled", by: "mesh", reason: "its step was ended" }),
    };
    this.#open = new OpenRuns(parts, childWork(children));
  }

  /** Takes up every run that has not ended. A run whose plan was changed on disk stays where it is. */
  async recover(): Promise<void> {
    const { store, monitor } = this.#parts;
    const drivers: RunDriver[] = [];
    for (const row of store.query.workflow.open(defaultTenant)) {
      const stored = readRun(store, row);
      if (stored.ok) drivers.push(this.#open.drive(stored.value.plan, stored.value.workflow, stored.value.state));
      else monitor.emit("workflow.blocked", null, { run: row.id, reason: stored.error });
    }
    await Promise.all(drivers.map((driver) => driver.resume()));
    for (const { state } of drivers) await this.#endOrphan(state.run);
  }

  /** Resolves when the run and its first steps are on disk. */
  async start({ plan, input, label, by }: StartRun): Promise<Result<{ readonly run: string }, Refusal>> {
    const prepared = this.prepareStart({ plan, input, label, by });
    if (!prepared.ok) return prepared;
    const { id: run, writes, done } = prepared.value;
    await this.#parts.audit.record(
      {
        kind: "workflow.started",
        subject: subjectOf(by),
        detail: { run, workflow: plan.workflow.name, plan: plan.digest, by },
      },
      writes,
    );
    await done();
    return ok({ run });
  }

  /** A start as part of another transaction: commit `writes` in this tick, then call `done`. */
  prepareStart({
    plan,
    input,
    label,
    by,
  }: StartRun): Result<{ readonly id: string; readonly writes: readonly Write[]; done(): Promise<void> }, Refusal> {
    const refused = this.#refuseStart(plan, plan.workflow, input);
    if (refused) return err(refused);
    const run = this.#parts.ids.next("run");
    const { driver, writes } = this.#newRun(plan, "", { id: run, parent: null, parentTask: null, by }, input, label);
    const done = async (): Promise<void> => {
      this.#kept.add(plan);
      this.#parts.monitor.emit("workflow.started", null, { run, workflow: plan.workflow.name });
      await driver.wake();
    };
    return ok({ id: run, writes, done });
  }

  pause = (run: string, by: string): Promise<Result<null, Refusal>> =>
    this.#control(run, by, (state) =>
      state.status === "running" ? { kind: "run.paused", by, reason: `paused by ${by}` } : undefined,
    );
  /** `more` raises the caps of the run and of what is held for want of budget. */
  resume = (run: string, by: string, more?: Raise): Promise<Result<null, Refusal>> =>
    this.#control(run, by, (state) =>
      state.status === "paused" ? { kind: "run.resumed", by, ...(more && { more }) } : undefined,
    );
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
    if (row.finishedAtMs === null || this.#open.get(run))
      return err(refusal("conflict", `\`${run}\` has not ended`, "cancel it first"));
    const stored = readRun(store, row);
    if (!stored.ok) return err(refusal("conflict", `\`${run}\` cannot go on: ${stored.error}`, "start a new run"));
    const step = stored.value.workflow.steps.find(({ id }) => id === from);
    if (!step || step.standby)
      return err(refusal("not_found", `\`${run}\` has no step \`${from.slice(0, 64)}\``, "see `cordon runs show`"));
    // Open in this tick: of two who ask at the same moment, one finds it so, and a journal has one writer.
    const driver = this.#open.drive(stored.value.plan, stored.value.workflow, stored.value.state);
    await this.#parts.audit.record({ kind: "workflow.retried", subject: subjectOf(by), detail: { run, from } });
    await driver.tell({ kind: "run.retried", by, from });
    return ok(null);
  }

  /** Once, to exactly the action of `hash`, by one who has a role that the step asks for. */
  async answer(
    run: string,
    answer: { readonly task: string; readonly hash: string; readonly approved: boolean },
    person: { readonly name: string; has(role: string): boolean },
  ): Promise<Result<null, Refusal>> {
    const driver = this.#open.get(run);
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
    const recorded = audit.record({
      kind: "workflow.approval",
      subject: subjectOf(person.name),
      detail: { run, task, hash, approved },
    });
    // Both at once: a store that fails fails them both, and neither may be left without anybody who listens.
    await Promise.all([told, recorded]);
    return ok(null);
  }

  /** What a run is waiting for a person to say. */
  approvals(): OpenApproval[] {
    return this.#open.all().flatMap(({ workflow, state }) => openApprovals(workflow, state));
  }

  state(run: string): RunState | undefined {
    return this.#open.get(run)?.state;
  }

  /** Nothing is begun any more; what is under way is taken up by the next start. */
  close(): void {
    this.#open.close();
  }

  /** The work that a message to an agent stands for, while it is under way. */
  jobOfMessage = (message: string): ReturnType<OpenRuns["jobOfMessage"]> => this.#open.jobOfMessage(message);

  /** The same with the budgets that it spends from. */
  workOfMessage = (message: string): ReturnType<OpenRuns["workOfMessage"]> => this.#open.workOfMessage(message);
  get hasRecovered(): boolean {
    return this.#open.hasRecovered;
  }
  perhapsInHand = (message: string): boolean => this.#open.perhapsInHand(message);

  /** Resolves when the run has ended; at once when it had before. */
  outcome = (run: string, signal: AbortSignal): ReturnType<OpenRuns["outcome"]> => this.#open.outcome(run, signal);

  #refuseStart(plan: Plan, workflow: Workflow, input: Json): Refusal | undefined {
    if (!this.#kept.has(plan) && digestOfPlan(plan) !== plan.digest)
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
    if (this.#open.size >= runsOpenMax)
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
    const driver = this.#open.drive(plan, workflow, advance(workflow, unborn, entry));
    // The run of a step has the plan of its parent.
    const planIsThere = row.parent !== null || this.#kept.has(plan);
    return { driver, writes: [...newRunWrites(plan, planIsThere, row, workflow, nowMs), appendWrite(row.id, entry)] };
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
    const done = (): void => this.#open.wake(driver);
    return { ok: true, effect: { run: row.id }, writes, done };
  }

  /** The step of a child was ended, and the mesh with it, before the child was told. */
  async #endOrphan(run: string): Promise<void> {
    const row = this.#parts.store.query.workflow.run(defaultTenant, run);
    if (!row || row.parent === null || row.finishedAtMs !== null) return;
    const [task = "", attempt = ""] = (row.parentTask ?? "").split("/");
    const parent = this.#open.get(row.parent)?.state.tasks.get(task);
    if (parent?.phase === "running" && parent.attempt === Number(attempt)) return;
    await this.#open.tell(run, { kind: "run.cancelled", by: "mesh", reason: "its step was ended" });
  }

  async #control(
    run: string,
    by: string,
    eventFor: (state: RunState) => Spoken | undefined,
  ): Promise<Result<null, Refusal>> {
    const driver = this.#open.get(run);
    if (!driver) return err(noRun(run));
    const event = eventFor(driver.state);
    if (!event || finished(driver.state))
      return err(refusal("conflict", `\`${run}\` is ${driver.state.status}`, "see `cordon runs show`"));
    await this.#parts.audit.record({
      kind: "workflow.control",
      subject: subjectOf(by),
      detail: { run, word: event.kind, ...("more" in event && event.more ? { ...event.more } : {}) },
    });
    await this.#open.tell(run, event);
    return ok(null);
  }
}

const subjectOf = (by: string): string => (/^principal:/.test(by) ? by : "mesh");
const noRun = (run: string): Refusal =>
  refusal("not_found", `no open run \`${run.slice(0, 64)}\``, "see `cordon runs`");
