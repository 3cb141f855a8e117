import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import type { AgentPhase } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import type { Audit } from "../audit/audit.ts";
import type { AgentSetting } from "../config/fleet.ts";
import type { Caller } from "../door/services.ts";
import type { Monitor } from "../monitor/monitor.ts";
import {
  SandboxError,
  type DoorListener,
  type Sandbox,
  type SandboxBackend,
  type SandboxEvent,
} from "../sandbox/backend.ts";
import { firstProcess } from "./first-process.ts";
import type { LogBook } from "./log-book.ts";

export interface RunnerParts {
  readonly setting: AgentSetting;
  /** Immutable id; it also names the volume, so that a later agent of the same name inherits nothing. */
  readonly agentId: string;
  readonly generation: number;
  readonly clock: Clock;
  readonly ids: Id;
  readonly audit: Audit;
  readonly monitor: Monitor;
  readonly backend: SandboxBackend;
  readonly logs: LogBook;
  makeDoor(caller: Caller): DoorListener;
  /** Called at each start, before anything is served. */
  onStart(): void;
}

/**
 * Keeps one agent as it is wanted: running, with restarts that back off, or stopped with a reason. A sandbox that cannot be
 * built now (a runtime that is too slow on a loaded machine) is tried again until it can: work may be waiting for it that
 * nobody looks after. One that ends by itself again and again stays down.
 */
export class AgentRunner {
  readonly #parts: RunnerParts;
  /** Of the life that is wanted: a new start is another life, also while the one before is still ending. */
  #life: AbortController | undefined;
  /** Counts what was asked for: only the newest says how it stands. */
  #asked = 0;
  #sandbox: Sandbox | undefined;
  #door: DoorListener | undefined;
  #loop: Promise<void> = Promise.resolve();
  /** Failed, and to be tried again. */
  #resting = false;
  phase: AgentPhase = "stopped";
  reason = "";
  generation: number;
  restarts = 0;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    this.generation = parts.generation;
  }

  get setting(): AgentSetting {
    return this.#parts.setting;
  }
  get agentId(): string {
    return this.#parts.agentId;
  }
  get logs(): LogBook {
    return this.#parts.logs;
  }
  get sandbox(): Sandbox | undefined {
    return this.#sandbox;
  }

  /** Whether it is to run: false from the moment at which somebody asks for its end. */
  get isWanted(): boolean {
    return this.#life !== undefined;
  }

  /** How long it has not used its door; 0 for one that does not run. */
  idleForMs(): number {
    return this.#door?.idleForMs?.() ?? 0;
  }

  /** Resolves when the next start has succeeded or failed, or is not wanted any more. */
  start(): Promise<void> {
    if (this.#life && !this.#resting) return Promise.resolve();
    this.#life?.abort();
    this.#resting = false;
    const life = (this.#life = new AbortController());
    this.#asked++;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#loop = this.#loop.then(() => this.#keep(life.signal, resolve)).finally(resolve);
    return promise;
  }

  /** Resolves when nothing of the sandbox is left; rejects when something cannot be removed. */
  async stop(phase: "stopped" | "halted" | "asleep", reason: string): Promise<void> {
    const asked = ++this.#asked;
    const loop = this.#loop;
    this.#life?.abort();
    this.#life = undefined;
    this.#resting = false;
    try {
      await this.#sandbox?.stop(limits.sandbox.stopGraceMs);
    } finally {
      await loop;
      // Whoever has asked for something else meanwhile has the last word.
      if (asked === this.#asked) [this.phase, this.reason] = [phase, reason];
    }
  }

  async #keep(wanted: AbortSignal, started: () => void): Promise<void> {
    const { clock } = this.#parts;
    const { startAgainMinMs, startAgainMaxMs, restartsPerMinuteMax } = limits.sandbox;
    const ends: number[] = [];
    let refusals = 0;
    while (!wanted.aborted) {
      this.phase = "starting";
      const error = await this.#runOnce(wanted, started);
      started();
      if (wanted.aborted) return;
      if (error !== undefined) {
        this.#fail(error, refusals === 0);
        this.#resting = true;
        await clock.sleep(Math.min(startAgainMinMs * 2 ** refusals++, startAgainMaxMs), wanted).catch(() => {});
        if (!wanted.aborted) this.#resting = false;
        continue;
      }
      refusals = 0;
      ends.push(clock.monotonicMs());
      while ((ends[0] ?? 0) < clock.monotonicMs() - 60_000) ends.shift();
      if (ends.length > restartsPerMinuteMax) {
        this.#life = undefined;
        return this.#fail(`ended ${ends.length} times within a minute`, true);
      }
      this.phase = "starting";
      this.restarts++;
      await clock.sleep(Math.min(250 * 2 ** ends.length, 10_000), wanted).catch(() => {});
    }
  }

  #fail(reason: string, isNews: boolean): void {
    [this.phase, this.reason] = ["failed", reason];
    if (isNews) this.#parts.monitor.emit("agent.failed", this.setting.name, { reason: reason.slice(0, 400) });
  }

  /** One life of the sandbox. Returns why it could not be started, if so. */
  async #runOnce(wanted: AbortSignal, started: () => void): Promise<string | undefined> {
    const { setting, audit, monitor, backend, logs, ids } = this.#parts;
    const id = ids.next("sbx");
    this.generation++;
    const ended = Promise.withResolvers<void>();
    try {
      this.#parts.onStart();
      const door = this.#parts.makeDoor({ agent: setting.name, sandbox: id });
      // The backend waits for it beside the rest, before anything runs.
      const recorded = audit.record(
        {
          kind: "sandbox.starting",
          subject: "mesh",
          detail: { agent: setting.name, agent_id: this.agentId, sandbox: id, generation: this.generation },
        },
        [["agents.setGeneration", this.generation, this.agentId]],
      );
      const sandbox = await backend.start({
        id,
        isolation: setting.isolation,
        volume: this.agentId,
        limits: setting.limits,
        command: firstProcess(setting),
        ...(setting.rootfsFolder === undefined ? {} : { rootfs: setting.rootfsFolder }),
        environment: {},
        codeFolder: setting.code,
        ...{ door, recorded },
      });
      this.#sandbox = sandbox;
      this.#door = door;
      sandbox.onEvent((event) => {
        this.#note(id, event);
        if (event.type === "exited") ended.resolve();
      });
      void logs.follow(sandbox.output);
      [this.phase, this.reason] = ["running", ""];
      monitor.emit("sandbox.started", setting.name, { sandbox: id, generation: this.generation });
      started();
      // Stopped while it was starting: nobody else has had the sandbox to stop it.
      if (wanted.aborted) await sandbox.stop(0);
      await ended.promise;
      await sandbox.stop(0);
      return undefined;
    } catch (error) {
      const text = error instanceof SandboxError ? `${error.message}: ${error.remedy}` : String(error);
      monitor.emit("sandbox.refused", setting.name, { reason: text.slice(0, 400) });
      return text;
    } finally {
      this.#sandbox = undefined;
      this.#door = undefined;
    }
  }

  #note(sandbox: string, event: SandboxEvent): void {
    if (event.type === "started") return;
    const { type, ...detail } = event;
    this.#parts.monitor.emit(`sandbox.${type}`, this.setting.name, { sandbox, ...detail });
    // Not awaited: nothing that an agent is permitted hangs on it, and a failed store ends the mesh by itself.
    this.#parts.audit
      .record({ kind: `sandbox.${type}`, subject: "mesh", detail: { agent: this.setting.name, sandbox, ...detail } })
      .catch(() => {});
  }
}
