/** A running sandbox, whatever engine started it: its events, limits and end. */
import { statfs } from "node:fs/promises";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Exit, Sandbox, SandboxEvent, SandboxSpec } from "./backend.ts";
import { SandboxError } from "./backend.ts";
import { cpuQuotaUs, cpuShares } from "./bundle.ts";
import type { Cgroup, CgroupUsage } from "./cgroup.ts";
import type { SandboxOutput } from "./output.ts";
import { signalProcess, startTimeOf } from "./proc.ts";
import type { Finished } from "./process.ts";
import type { Companion } from "./rootless/data-server.ts";
import { checkCommand } from "./spec-check.ts";
import type { Watched } from "./watch.ts";

/** Below this share of free space (or without a free inode) the volume counts as full. */
const DISK_FREE_SHARE = 0.01;

/** Share of its periods cut short from which on a sandbox counts as held back. */
const THROTTLED_SHARE = 0.8;

const LOOKS_AT_ONCE = 10;

/** What only the engine that started a sandbox can do with it. */
export interface Engine {
  /** Asks the sandbox's PID 1 to end. Never throws. */
  terminate(): Promise<void>;
  exec(
    command: readonly string[],
    bounds: { readonly outputBytesMax: number; readonly timeoutMs: number },
  ): Promise<Finished>;
  /** How PID 1 has ended, called once, after it has; null when nobody can tell. */
  exit(): Promise<Exit | null>;
  /** Removes everything of it; throws SandboxError naming what is left. */
  remove(): Promise<void>;
}

export interface Started {
  readonly engine: Engine;
  /** Host process: the sandbox's PID 1, or the application kernel that runs it. */
  readonly pid: number;
  readonly startTime: string;
  readonly cgroup: Cgroup;
  /** Where its /data is mounted on the host. */
  readonly data: string;
  readonly output: SandboxOutput;
  /** A process without which the sandbox must not be; absent or null: there is none. */
  readonly companion?: Companion | null;
  /** What was to be told before anybody could listen. */
  readonly told?: readonly SandboxEvent[];
  /** Called once, after everything is gone or has been found stuck. */
  readonly onGone: () => Promise<void>;
}

export class RunningSandbox implements Sandbox, Watched {
  readonly id: string;
  readonly output: SandboxOutput;
  readonly pid: number;
  readonly startTime: string;
  readonly #spec: SandboxSpec;
  readonly #clock: Clock;
  readonly #started: Started;
  readonly #listeners: ((event: SandboxEvent) => void)[] = [];
  /** First and last event, and what was told before the first, for a listener that comes late. */
  readonly #milestones: SandboxEvent[] = [];
  #oomKills = 0;
  #pidsRefused = 0;
  #diskFull = false;
  #lookingAtDisk = false;
  #periods = 0;
  #throttled = 0;
  #throttledSinceMs: number;
  #throttleTold = false;
  #stopping = false;
  #gone: Promise<void> | undefined;

  constructor(spec: SandboxSpec, clock: Clock, started: Started) {
    this.id = spec.id;
    this.output = started.output;
    this.pid = started.pid;
    this.startTime = started.startTime;
    this.#spec = spec;
    this.#clock = clock;
    this.#started = started;
    this.#throttledSinceMs = clock.monotonicMs();
    this.#milestones.push({ type: "started", pid: started.pid }, ...(started.told ?? []));
    void this.#endBurst();
  }

  onEvent(listener: (event: SandboxEvent) => void): void {
    for (const event of this.#milestones) listener(event);
    this.#listeners.push(listener);
  }

  emit(event: SandboxEvent): void {
    if (event.type === "exited") this.#milestones.push(event);
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // One bad listener must not blind the watch of all sandboxes; it is still an uncaught error.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  usage(): Promise<CgroupUsage> {
    return this.#started.cgroup.usage().catch((cause: unknown) => {
      throw new SandboxError(`sandbox \`${this.id}\` is not running`, "start it first", { cause });
    });
  }

  async exec(command: readonly string[], bounds: { readonly outputBytesMax: number; readonly timeoutMs: number }) {
    checkCommand(command);
    if (this.#gone || startTimeOf(this.pid) !== this.startTime) {
      throw new SandboxError(`sandbox \`${this.id}\` is not running`, "start it first");
    }
    const done = await this.#started.engine.exec(command, bounds);
    return { exitCode: done.code, stdout: done.stdout, stderr: done.stderr, truncated: done.truncated };
  }

  async stop(graceMs: number): Promise<void> {
    if (!this.#gone) {
      this.#stopping = true;
      if (graceMs > 0) await this.#started.engine.terminate();
      const deadline = this.#clock.monotonicMs() + graceMs;
      for (let look = 0; startTimeOf(this.pid) === this.startTime && this.#clock.monotonicMs() < deadline; look++) {
        // Most end at once; a thousand that do not must not be looked at a hundred times a second each.
        await this.#clock.sleep(look < LOOKS_AT_ONCE ? 10 : 100);
      }
      signalProcess(this.pid, this.startTime, "SIGKILL");
    }
    await this.#end();
  }

  /** Its watch sees the end then, as any other. */
  lookAtCompanion(): void {
    const { companion } = this.#started;
    if (companion && startTimeOf(companion.pid) !== companion.startTime)
      signalProcess(this.pid, this.startTime, "SIGKILL");
  }

  ended(): void {
    // A failure shows in stop(), which the mesh calls for every sandbox, and in the next sweep.
    this.#end().catch(() => undefined);
  }

  lookAtCounters(): void {
    const oomKills = this.#started.cgroup.oomKills();
    if (oomKills > this.#oomKills) this.emit({ type: "oom", count: oomKills });
    this.#oomKills = Math.max(oomKills, this.#oomKills);
    const refused = this.#started.cgroup.pidsRefused();
    if (refused > this.#pidsRefused) this.emit({ type: "pids_exhausted", count: refused });
    this.#pidsRefused = Math.max(refused, this.#pidsRefused);
    this.#lookAtThrottling();
    void this.#lookAtDisk();
  }

  /** One event a spell: it began when every period of the last looks was cut short, and ends with one that was not. */
  #lookAtThrottling(): void {
    const { periods, throttled } = this.#started.cgroup.throttling();
    const busy =
      periods > this.#periods && (throttled - this.#throttled) / (periods - this.#periods) >= THROTTLED_SHARE;
    [this.#periods, this.#throttled] = [periods, throttled];
    const now = this.#clock.monotonicMs();
    if (!busy) this.#throttledSinceMs = now;
    const seconds = Math.round((now - this.#throttledSinceMs) / 1000);
    if (busy && !this.#throttleTold && seconds * 1000 >= limits.sandbox.throttledMs) {
      this.#throttleTold = true;
      this.emit({ type: "cpu_throttled", seconds });
    } else if (!busy) this.#throttleTold = false;
  }

  async #lookAtDisk(): Promise<void> {
    // A file system that a process serves may let one wait: never with more than one thread.
    if (this.#lookingAtDisk) return;
    this.#lookingAtDisk = true;
    const disk = await statfs(this.#started.data).catch(() => null);
    this.#lookingAtDisk = false;
    if (disk === null || this.#gone || disk.blocks === 0) return;
    const full = disk.bavail / disk.blocks < DISK_FREE_SHARE || disk.ffree === 0;
    if (full && !this.#diskFull) this.emit({ type: "disk_full", usedBytes: (disk.blocks - disk.bfree) * disk.bsize });
    this.#diskFull = full;
  }

  async #endBurst(): Promise<void> {
    await this.#clock.sleep(limits.sandbox.startBurstMs);
    if (this.#gone || startTimeOf(this.pid) !== this.startTime) return;
    const { cpus } = this.#spec.limits;
    const { cgroup } = this.#started;
    await cgroup
      .limitCpu(cpuQuotaUs(cpus))
      .then(() => cgroup.shareCpu(cpuShares(cpus)))
      .catch(() => this.stop(0).catch(() => undefined));
  }

  #end(): Promise<void> {
    this.#gone ??= this.#takeDown();
    return this.#gone;
  }

  async #takeDown(): Promise<void> {
    const oomBefore = this.#oomKills;
    this.lookAtCounters();
    const cause = this.#stopping ? "stopped" : this.#oomKills > oomBefore ? "oom" : "ended";
    const exit = await this.#started.engine.exit().catch(() => null);
    try {
      await this.#started.engine.remove();
    } finally {
      this.output.release();
      await this.#spec.door.close().catch(() => undefined);
      await this.#started.onGone();
      const [exitCode, signal] =
        exit === null ? [null, null] : "code" in exit ? [exit.code, null] : [null, exit.signal];
      this.emit({ type: "exited", cause, exitCode, signal });
    }
  }
}
