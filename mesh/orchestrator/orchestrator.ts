import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { joinLabels, type Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { TaskNotice, TaskState, TaskView } from "../../protocol/task.ts";
import type { Inboxes } from "../bus/inboxes.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import { Lineage, type Origin } from "./lineage.ts";
import { putWrite, stepWrite, taskOf, viewOf, type Task } from "./record.ts";
import { isAtHand, isAtWork, isEnd, mayFollow } from "./state.ts";

/** A change that was decided in this tick: commit `writes`, in the order of decision, then call `done`. */
export interface Change {
  readonly task: TaskView;
  readonly writes: readonly Write[];
  done(): void;
}

export interface NewTask {
  readonly to: string;
  readonly title: string;
  readonly input: string;
  /** Milliseconds from now. */
  readonly deadlineMs: number;
  readonly label: Label;
}

export interface OrchestratorParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Id;
  readonly inboxes: Inboxes;
}

/**
 * Tasks among agents: made, handed on, worked off. Whether an agent may give another something to do is the caller's to
 * decide; that nobody touches what is not his, that nothing goes round in circles or ever deeper, is decided here.
 */
export class Orchestrator {
  readonly #parts: OrchestratorParts;
  readonly #lineage: Lineage;
  /** Every task that is open, or whose end is on its way to the disk. */
  readonly #tasks = new Map<string, Task>();

  constructor(parts: OrchestratorParts) {
    this.#parts = parts;
    this.#lineage = new Lineage(parts.clock);
    const { tasks } = parts.store.query;
    for (const row of tasks.open(defaultTenant)) this.#tasks.set(row.id, taskOf(row));
    for (const task of this.#tasks.values()) this.#lineage.holds(task.assignee, originOf(task));
    for (const { task, assignee, atMs } of tasks.heldSince(
      defaultTenant,
      parts.clock.nowMs() - limits.task.lineageMs,
    )) {
      const row = tasks.get(defaultTenant, task);
      const known = row && taskOf(row);
      if (known && (isEnd(known.state) || known.assignee !== assignee))
        this.#lineage.releases(assignee, originOf(known), atMs);
    }
  }

  /** By an agent, for another. Its depth and its chain follow from what the creator has on its hands. */
  create(creator: string, asked: NewTask): Result<Change, Refusal> {
    const { clock, ids } = this.#parts;
    const origin = this.#lineage.of(creator);
    const chain = withName(origin?.chain ?? [], creator);
    const fault = circle(chain, asked.to) ?? this.#tooDeep(origin) ?? this.#tooMany(creator, asked.to);
    if (fault) return err(fault);
    const nowMs = clock.nowMs();
    const task: Task = {
      ...{ id: ids.next("tsk"), title: asked.title, input: asked.input, label: asked.label, creator },
      ...{ parent: origin?.task ?? null, depth: origin ? origin.depth + 1 : 0, hops: 0, chain },
      ...{ createdAtMs: nowMs, updatedAtMs: nowMs, deadlineAtMs: nowMs + asked.deadlineMs, stalledAtMs: null },
      ...{ assignee: asked.to, state: "queued", note: "", result: null, resultLabel: null },
    };
    const told = this.#tell(task, creator, asked.to, "assigned");
    return told.ok ? ok(this.#change(`agent:${creator}`, task, told.value)) : told;
  }

  /** By its assignee, to another agent, who gets it in its lane. */
  handOff(agent: string, id: string, to: string, note: string): Result<Change, Refusal> {
    const own = this.#own(agent, id, "handed-off");
    if (!own.ok) return own;
    const task = own.value;
    const chain = withName(task.chain, agent);
    const led = withAll(chain, this.#lineage.of(agent)?.chain ?? []);
    if (task.hops >= limits.task.hopsMax)
      return err(refusal("conflict", `\`${id}\` was handed off ${task.hops} times`, "end it with `task.done`"));
    const fault = circle(led, to) ?? this.#tooMany(undefined, to);
    if (fault) return err(fault);
    const next: Task = { ...task, chain, hops: task.hops + 1, assignee: to, state: "handed-off", note };
    const told = this.#tell(next, agent, to, "assigned");
    return told.ok ? ok(this.#change(`agent:${agent}`, next, told.value)) : told;
  }

  /** By its assignee: it moves, or waits for something. */
  update(agent: string, id: string, state: "working" | "blocked", note: string): Result<Change, Refusal> {
    const own = this.#own(agent, id, state);
    return own.ok ? ok(this.#change(`agent:${agent}`, { ...own.value, state, note })) : own;
  }

  /** By its assignee: the end, told to the creator. */
  finish(
    agent: string,
    id: string,
    end: { readonly state: "done" | "failed"; readonly result: string; readonly label: Label },
  ): Result<Change, Refusal> {
    const own = this.#own(agent, id, end.state);
    if (!own.ok) return own;
    const resultLabel = joinLabels(own.value.label, end.label);
    const next: Task = { ...own.value, state: end.state, result: end.result, resultLabel, note: "" };
    // A full lane does not keep a task from ending: its creator also finds it in `task.list`.
    const told = this.#tell(next, agent, next.creator, end.state);
    return ok(this.#change(`agent:${agent}`, next, told.ok ? told.value : undefined));
  }

  /** A message was handed out: what it says of a task, and the change that this is, if it is one. */
  delivered(agent: string, message: string): { readonly notice: TaskNotice; readonly change?: Change } | undefined {
    const row = this.#parts.store.query.tasks.notice(message);
    if (!row) return undefined;
    const notice = { task: row.task, kind: row.kind };
    const task = this.#tasks.get(row.task);
    if (row.kind !== "assigned" || task?.assignee !== agent || !mayFollow(task.state, "assigned")) return { notice };
    return { notice, change: this.#change(`agent:${agent}`, { ...task, state: "assigned" }) };
  }

  /** What time has brought: tasks whose deadline is over, and tasks of which nothing has been heard for too long. */
  overdue(): { readonly expired: readonly Change[]; readonly stalled: readonly Change[] } {
    const nowMs = this.#parts.clock.nowMs();
    const open = [...this.#tasks.values()].filter(({ state }) => !isEnd(state));
    const expired = open
      .filter(({ deadlineAtMs }) => deadlineAtMs <= nowMs)
      .map((task) => this.#end(task, "expired", "its deadline is over"));
    const stalled = open
      .filter((task) => task.deadlineAtMs > nowMs && isSilent(task, nowMs))
      .map((task) => this.#change("mesh", { ...task, stalledAtMs: nowMs }));
    return { expired, stalled };
  }

  /** When `overdue` will next have something to tell; Infinity while nothing is open. */
  nextAtMs(): number {
    let atMs = Infinity;
    for (const task of this.#tasks.values()) {
      if (isEnd(task.state)) continue;
      atMs = Math.min(atMs, task.deadlineAtMs);
      if (isAtWork(task.state) && task.stalledAtMs === null)
        atMs = Math.min(atMs, task.updatedAtMs + limits.task.stallMs);
    }
    return atMs;
  }

  /** An agent has left the fleet: whoever comes with its name gets neither its tasks nor the results of its tasks. */
  abandon(agent: string): Change[] {
    return [...this.#tasks.values()]
      .filter(({ assignee, creator, state }) => [assignee, creator].includes(agent) && !isEnd(state))
      .map((task) => this.#end(task, "failed", `\`${agent}\` has left the fleet`, task.creator !== agent));
  }

  /** What an agent has to do, and what it gave to others: open ones first in order of age, then those of late. */
  list(agent: string): TaskView[] {
    const open = [...this.#tasks.values()].filter(({ assignee, creator }) => [assignee, creator].includes(agent));
    const ids = new Set(open.map(({ id }) => id));
    const { agents, tasks } = this.#parts.store.query;
    // What is older was another's, who had the same name.
    const sinceMs = agents.byName(defaultTenant, agent)?.createdAtMs ?? 0;
    const late = tasks
      .newest(defaultTenant, limits.task.listTasksMax)
      .filter(({ id, assignee, creator }) => !ids.has(id) && [assignee, creator].includes(agent))
      .filter(({ createdAtMs }) => createdAtMs >= sinceMs)
      .map(taskOf);
    return [...open, ...late].slice(0, limits.task.listTasksMax).map(viewOf);
  }

  #own(agent: string, id: string, next: TaskState): Result<Task, Refusal> {
    const task = this.#tasks.get(id);
    // Whether there is such a task of somebody else is nothing that it should learn.
    if (!task || task.assignee !== agent || isEnd(task.state))
      return err(refusal("not_found", `no open task \`${id.slice(0, 40)}\` of yours`, "see `task.list`"));
    if (mayFollow(task.state, next) || (task.state === next && isAtHand(next))) return ok(task);
    return err(
      refusal("conflict", `\`${id}\` is ${task.state} and cannot become ${next}`, "take it from your inbox first"),
    );
  }

  #tooDeep(origin: Origin | undefined): Refusal | undefined {
    if (!origin || origin.depth < limits.task.depthMax) return undefined;
    const path = origin.chain.join(" → ");
    return refusal("conflict", `tasks lie ${origin.depth} deep already: ${path}`, "end what you have with `task.done`");
  }

  #tooMany(creator: string | undefined, to: string): Refusal | undefined {
    const open = [...this.#tasks.values()].filter(({ state }) => !isEnd(state));
    const { openTasksMax, tasksPerAgentMax } = limits.task;
    if (open.length >= openTasksMax)
      return refusal("busy", `${open.length} tasks are open`, "wait until some have ended");
    const count = (of: (task: Task) => boolean): number => open.filter(of).length;
    if (count(({ assignee }) => assignee === to) >= tasksPerAgentMax)
      return refusal("busy", `\`${to}\` has ${tasksPerAgentMax} open tasks`, "wait until it has worked some off");
    if (creator !== undefined && count((task) => task.creator === creator) >= tasksPerAgentMax)
      return refusal("busy", `${tasksPerAgentMax} tasks of yours are open`, "wait until some of them have ended");
    return undefined;
  }

  #end(task: Task, state: "failed" | "expired", note: string, tells = true): Change {
    const next: Task = { ...task, state, note };
    const told = tells ? this.#tell(next, undefined, task.creator, state) : undefined;
    return this.#change("mesh", next, told?.ok ? told.value : undefined);
  }

  /** The message that goes with a change; `from` undefined = the mesh. */
  #tell(task: Task, from: string | undefined, to: string, kind: TaskNotice["kind"]): Result<Told, Refusal> {
    const assigned = kind === "assigned";
    const text = assigned ? task.input : (task.result ?? task.note);
    const posted = this.#parts.inboxes.post({
      ...{ to, from: from === undefined ? "principal:mesh" : `agent:${from}`, conversation: task.id },
      // How a task has ended is an answer, and an answer is never answered by itself (cf. RFC 3834).
      replyTo: assigned ? null : task.id,
      body: `task ${task.id} ${kind}: ${task.title}\n\n${text}`,
      label: assigned ? task.label : (task.resultLabel ?? task.label),
    });
    if (!posted.ok) return posted;
    const { id, writes, done } = posted.value;
    return ok({ writes: [...writes, ["tasks.insertMessage", id, task.id, kind]], done });
  }

  #change(by: string, next: Task, told?: Told): Change {
    const nowMs = this.#parts.clock.nowMs();
    const before = this.#tasks.get(next.id);
    // That it stalls is no sign of life.
    const silent = next.stalledAtMs !== null && before?.stalledAtMs === null;
    const task: Task = silent ? next : { ...next, updatedAtMs: nowMs, stalledAtMs: null };
    this.#tasks.set(task.id, task);
    if (before && before.assignee !== task.assignee) this.#lineage.releases(before.assignee, originOf(task), nowMs);
    if (isEnd(task.state)) this.#lineage.releases(task.assignee, originOf(task), nowMs);
    else this.#lineage.holds(task.assignee, originOf(task));
    return {
      task: viewOf(task),
      writes: [putWrite(task), stepWrite(task, by, nowMs), ...(told?.writes ?? [])],
      done: () => {
        if (isEnd(task.state)) this.#tasks.delete(task.id);
        told?.done();
      },
    };
  }
}

interface Told {
  readonly writes: readonly Write[];
  done(): void;
}

const originOf = ({ id, depth, chain, assignee }: Task): Origin => ({
  task: id,
  depth,
  chain: withName(chain, assignee),
});
const withName = (chain: readonly string[], name: string): string[] => withAll(chain, [name]);
const withAll = (chain: readonly string[], more: readonly string[]): string[] => [...new Set([...chain, ...more])];

const isSilent = (task: Task, nowMs: number): boolean =>
  isAtWork(task.state) && task.stalledAtMs === null && nowMs - task.updatedAtMs >= limits.task.stallMs;

function circle(chain: readonly string[], to: string): Refusal | undefined {
  if (!chain.includes(to)) return undefined;
  const path = [...chain, to].join(" → ");
  return refusal("conflict", `a task would go round in a circle: ${path}`, "give its result back with `task.done`");
}
