import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import type { AgentStatus } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Audit } from "../audit/audit.ts";
import type { Inboxes } from "../bus/inboxes.ts";
import type { Topics } from "../bus/topics.ts";
import type { Fleet } from "../config/fleet.ts";
import type { RunawayCause } from "../door/runaway.ts";
import type { Caller } from "../door/services.ts";
import type { BudgetRefusal } from "../ledger/ledger.ts";
import { windowText } from "../ledger/windows.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { DoorListener, SandboxBackend } from "../sandbox/backend.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import { AgentRunner } from "./agent-runner.ts";
import { Hibernation } from "./hibernation.ts";
import { LogBook } from "./log-book.ts";

export interface SupervisorParts {
  readonly fleet: Fleet;
  readonly stateFolder: string;
  readonly store: Store;
  readonly audit: Audit;
  readonly monitor: Monitor;
  readonly inboxes: Inboxes;
  readonly topics: Pick<Topics, "observe" | "behind">;
  /** Changes of the board, for agents that watch them. */
  readonly boardNews: Pick<Topics, "observe" | "behind">;
  readonly backend: SandboxBackend;
  readonly clock: Clock;
  readonly ids: Id;
  makeDoor(caller: Caller): DoorListener;
  /** Rows by which other rooms forget an agent that has left the fleet file: a name that comes back is somebody else. */
  forget(agent: string): readonly Write[];
}

/** Holds the fleet file against what runs: who exists, who should run, who is halted. */
export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #runners = new Map<string, AgentRunner>();
  readonly #halted = new Map<string, { readonly refusal: Refusal; readonly stop: AbortController }>();
  readonly #hibernation: Hibernation;
  readonly #ending = new AbortController();
  #closed = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    const { clock, inboxes, fleet } = parts;
    this.#hibernation = new Hibernation({
      clock,
      awakeMax: fleet.awakeMax ?? Infinity,
      runners: () => this.#runners.values(),
      runner: (agent) => this.#runners.get(agent),
      depth: (agent) => inboxes.depth(agent),
    });
    for (const room of [inboxes, parts.topics, parts.boardNews]) room.observe((agent) => this.#hibernation.wake(agent));
  }

  /** Ends what an earlier mesh left, and brings the register in line with the fleet file. */
  async reconcile(): Promise<void> {
    const { backend, audit } = this.#parts;
    const swept = await backend.sweep();
    if (swept.length > 0)
      await audit.record({
        kind: "sandbox.swept",
        subject: "mesh",
        detail: { count: swept.length, ids: swept.slice(0, 50) },
      });
    await this.#register();
  }

  /** Resolves when each agent has had its first start; who may hibernate and has nothing to do begins asleep. */
  async start(): Promise<void> {
    const { fleet, inboxes } = this.#parts;
    const asleep = fleet.agents.filter(({ hibernateAfterMs }) => hibernateAfterMs !== undefined);
    for (const { name } of asleep) await this.#runners.get(name)?.stop("asleep", "it has nothing to do");
    const { topics, boardNews } = this.#parts;
    const behind = new Set([...topics.behind(), ...boardNews.behind()]);
    for (const { name } of asleep) if (inboxes.depth(name) > 0 || behind.has(name)) this.#hibernation.wake(name);
    if (asleep.length > 0) void this.#hibernation.run(this.#ending.signal);
    const waiting = fleet.agents.flatMap(({ name, hibernateAfterMs }) =>
      hibernateAfterMs === undefined ? (this.#runners.get(name) ?? []) : [],
    );
    const starters = Array.from({ length: STARTS_AT_ONCE }, async () => {
      for (let runner = waiting.shift(); runner && !this.#closed; runner = waiting.shift()) await runner.start();
    });
    await Promise.all(starters);
  }

  async stop(): Promise<void> {
    this.#closed = true;
    this.#ending.abort();
    for (const { stop } of this.#halted.values()) stop.abort();
    const running = [...this.#runners.values()];
    let failed = 0;
    // A thousand that are asked to end at once would keep one another from it.
    const stoppers = Array.from({ length: STOPS_AT_ONCE }, async () => {
      for (let runner = running.shift(); runner; runner = running.shift())
        // One that cannot be removed must not leave the others behind.
        await runner.stop("stopped", "the mesh is shutting down").catch(() => failed++);
    });
    await Promise.all(stoppers);
    // What the kernel would not let go of while so many ended.
    if (failed > 0) await this.#parts.backend.sweep();
  }

  halted(agent: string): Refusal | undefined {
    return this.#halted.get(agent)?.refusal;
  }

  /** From this moment the agent gets nothing but refusals; its sandbox is stopped; a new window starts it again. */
  halt(agent: string, cause: BudgetRefusal): void {
    const runner = this.#runners.get(agent);
    if (!runner || this.#halted.has(agent)) return;
    const until = new Date(cause.resetsAtMs).toISOString();
    const reason = `the ${windowText(cause.window)} budget of \`${cause.scope}\` is used up`;
    const stop = new AbortController();
    this.#halted.set(agent, {
      refusal: refusal(
        "halted",
        `\`${agent}\` is halted: ${reason}`,
        `raise the budget and start it again, or wait until ${until}`,
      ),
      stop,
    });
    this.#parts.monitor.emit("budget.exhausted", agent, {
      scope: cause.scope,
      window: cause.window,
      unit: cause.unit,
      cap: cause.cap,
    });
    this.#parts.audit
      .record({
        kind: "agent.halted",
        subject: "mesh",
        detail: { agent, scope: cause.scope, window: cause.window, unit: cause.unit, until },
      })
      .catch(() => {});
    void this.#serveHalt(runner, reason, cause.resetsAtMs, stop.signal);
  }

  /** The same for an agent that runs away; only an operator starts it again. */
  haltRunaway(agent: string, cause: RunawayCause): void {
    const runner = this.#runners.get(agent);
    if (!runner || this.#halted.has(agent)) return;
    const stop = new AbortController();
    const fix = "mend it and start it again, or allow it by its `runaway` in the fleet file";
    const reason = `it runs away: ${cause.reason}`;
    this.#halted.set(agent, { refusal: refusal("halted", `\`${agent}\` is halted: ${reason}`, fix), stop });
    this.#parts.monitor.emit("agent.runaway", agent, { ...cause });
    this.#parts.audit
      .record({ kind: "agent.halted", subject: "mesh", detail: { agent, cause: cause.kind, ...cause } })
      .catch(() => {});
    void this.#serveHalt(runner, reason, Infinity, stop.signal);
  }

  /** By an operator; lifts a halt, which comes back with the next call if the budget is still used up. */
  async startAgent(name: string): Promise<Refusal | undefined> {
    const runner = this.#runners.get(name);
    if (!runner) return noAgent(name);
    this.#halted.get(name)?.stop.abort();
    this.#halted.delete(name);
    await runner.start();
    return runner.phase === "failed" ? refusal("upstream_failed", runner.reason, "see `cordon doctor`") : undefined;
  }

  async stopAgent(name: string): Promise<Refusal | undefined> {
    const runner = this.#runners.get(name);
    if (!runner) return noAgent(name);
    await runner.stop("stopped", "stopped by the operator");
    return undefined;
  }

  runner(name: string): AgentRunner | undefined {
    return this.#runners.get(name);
  }

  async status(): Promise<AgentStatus[]> {
    return Promise.all(
      [...this.#runners.values()].map(async (runner) => {
        const { name, model, chain } = runner.setting;
        const usage = await runner.sandbox?.usage().catch(() => undefined);
        return {
          name,
          id: runner.agentId,
          phase: this.#halted.has(name) ? "halted" : runner.phase,
          reason: this.#halted.get(name)?.refusal.reason ?? runner.reason,
          model: chain ?? `${model.provider}/${model.model}`,
          generation: runner.generation,
          restarts: runner.restarts,
          inbox: this.#parts.inboxes.depth(name),
          memoryBytes: usage?.memoryBytes ?? null,
        };
      }),
    );
  }

  async #serveHalt(runner: AgentRunner, reason: string, untilMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    try {
      // A moment for the refusals that are on their way; the door already refuses everything.
      await clock.sleep(limits.sandbox.stopGraceMs, signal);
      // What cannot be removed is told by the runner; the halt ends all the same.
      await runner.stop("halted", reason).catch(() => undefined);
      while (clock.nowMs() < untilMs) await clock.sleep(Math.min(untilMs - clock.nowMs(), TIMER_MS_MAX), signal);
      this.#halted.delete(runner.setting.name);
      // One that an operator has stopped meanwhile stays so.
      if (runner.phase === "halted") await runner.start();
    } catch {
      // Lifted by an operator, or the mesh is ending.
    }
  }

  /** Agents of the file that are new get an id; agents that have left the file are marked, never deleted. */
  async #register(): Promise<void> {
    const { fleet, store, audit, clock, ids, stateFolder } = this.#parts;
    const known = new Map(store.query.agents.live(defaultTenant).map((row) => [row.name, row]));
    for (const row of known.values()) {
      if (fleet.agents.some((agent) => agent.name === row.name)) continue;
      await audit.record({ kind: "agent.removed", subject: "mesh", detail: { agent: row.name, agent_id: row.id } }, [
        ["agents.remove", clock.nowMs(), row.id],
        ["messages.settleInbox", clock.nowMs(), defaultTenant, row.name],
        ...this.#parts.forget(row.name),
      ]);
    }
    const logs = join(stateFolder, "logs");
    mkdirSync(logs, { recursive: true, mode: 0o700 });
    const created: Promise<void>[] = [];
    for (const setting of fleet.agents) {
      const row = known.get(setting.name);
      const agentId = row?.id ?? ids.next("agt");
      if (!row)
        created.push(
          audit.record({ kind: "agent.created", subject: "mesh", detail: { agent: setting.name, agent_id: agentId } }, [
            ["agents.insert", agentId, defaultTenant, setting.name, clock.nowMs()],
          ]),
        );
      const { monitor, backend, makeDoor, inboxes } = this.#parts;
      this.#runners.set(
        setting.name,
        new AgentRunner({
          ...{ setting, agentId, clock, ids, audit, monitor, backend, makeDoor },
          generation: row?.generation ?? 0,
          logs: new LogBook(join(logs, `${setting.name}.log`)),
          onStart: () => inboxes.forgetLease(setting.name),
        }),
      );
    }
    await Promise.all(created);
  }
}

const STARTS_AT_ONCE = 2;
/** Many enough that those who take all the time they are given to end are waited for together. */
const STOPS_AT_ONCE = 32;
/** A timer cannot wait longer (2^31 - 1 ms). */
const TIMER_MS_MAX = 2_147_483_647;
const noAgent = (name: string): Refusal => refusal("not_found", `no agent \`${name}\``, "see `cordon status`");
