/** A running sandbox of the `oci` backend. */
import { readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Sandbox, SandboxEvent, SandboxSpec } from "./backend.ts";
import { SandboxError } from "./backend.ts";
import { cpuQuotaUs } from "./bundle.ts";
import { Cgroup, type CgroupUsage } from "./cgroup.ts";
import { dismantle, type Host } from "./dismantle.ts";
import type { SandboxOutput } from "./output.ts";
import { type SandboxPlaces, sandboxPlacesOf } from "./places.ts";
import { signalProcess, startTimeOf } from "./proc.ts";
import type { Runtime } from "./runtime.ts";
import { checkCommand } from "./spec-check.ts";
import type { Watched } from "./watch.ts";

/** Below this share of free space (or without a free inode) the volume counts as full. */
const DISK_FREE_SHARE = 0.01;

export interface Started {
  readonly runtime: Runtime;
  /** Host process: the sandbox's PID 1, or the application kernel that runs it. */
  readonly pid: number;
  readonly startTime: string;
  readonly image: string;
  readonly output: SandboxOutput;
  /** Called once, after everything is gone or has been found stuck. */
  readonly onGone: () => Promise<void>;
}

export class OciSandbox implements Sandbox, Watched {
  readonly id: string;
  readonly output: SandboxOutput;
  readonly pid: number;
  readonly startTime: string;
  readonly #spec: SandboxSpec;
  readonly #host: Host;
  readonly #started: Started;
  readonly #runtime: Runtime;
  readonly #at: SandboxPlaces;
  readonly #cgroup: Cgroup;
  readonly #listeners: ((event: SandboxEvent) => void)[] = [];
  /** First and last event, for a listener that comes late. */
  readonly #milestones: SandboxEvent[] = [];
  #oomKills = 0;
  #pidsRefused = 0;
  #diskFull = false;
  #stopping = false;
  #execs = 0;
  #gone: Promise<void> | undefined;

  constructor(spec: SandboxSpec, host: Host, started: Started) {
    this.id = spec.id;
    this.output = started.output;
    this.pid = started.pid;
    this.startTime = started.startTime;
    this.#spec = spec;
    this.#host = host;
    this.#started = started;
    this.#runtime = started.runtime;
    this.#at = sandboxPlacesOf(host.places, spec.id);
    this.#cgroup = new Cgroup(host.cgroups, this.#at.cgroup);
    this.#milestones.push({ type: "started", pid: started.pid });
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
    return this.#cgroup.usage().catch((cause: unknown) => {
      throw new SandboxError(`sandbox \`${this.id}\` is not running`, "start it first", { cause });
    });
  }

  async exec(command: readonly string[], bounds: { readonly outputBytesMax: number; readonly timeoutMs: number }) {
    checkCommand(command);
    if (this.#gone || startTimeOf(this.pid) !== this.startTime) {
      throw new SandboxError(`sandbox \`${this.id}\` is not running`, "start it first");
    }
    const pidFile = join(this.#at.dir, `exec-${++this.#execs}`);
    // Killing the runtime's client would leave the command running inside.
    const onTimeout = async (): Promise<void> => {
      const pid = Number(await readFile(pidFile, "latin1").catch(() => "0"));
      const startTime = pid > 1 ? startTimeOf(pid) : null;
      if (this.#runtime.profile.process !== "agent" && pid > 1) await this.#runtime.signal(this.id, "KILL", pid);
      else if (startTime !== null && (await this.#cgroup.processes()).includes(pid))
        signalProcess(pid, startTime, "SIGKILL");
    };
    const options = { ...bounds, onTimeout: () => void onTimeout() };
    const done = await this.#runtime.exec(this.id, this.#at, pidFile, command, options);
    await rm(pidFile, { force: true });
    return { exitCode: done.code, stdout: done.stdout, stderr: done.stderr, truncated: done.truncated };
  }

  async stop(graceMs: number): Promise<void> {
    if (!this.#gone) {
      this.#stopping = true;
      if (this.#runtime.profile.process === "agent") signalProcess(this.pid, this.startTime, "SIGTERM");
      else if (graceMs > 0) await this.#runtime.signal(this.id, "TERM");
      const deadline = this.#host.clock.monotonicMs() + graceMs;
      while (startTimeOf(this.pid) === this.startTime && this.#host.clock.monotonicMs() < deadline) {
        await this.#host.clock.sleep(10);
      }
      signalProcess(this.pid, this.startTime, "SIGKILL");
    }
    await this.#end();
  }

  ended(): void {
    // A failure shows in stop(), which the mesh calls for every sandbox, and in the next sweep.
    this.#end().catch(() => undefined);
  }

  lookAtCounters(): void {
    const oomKills = this.#cgroup.oomKills();
    if (oomKills > this.#oomKills) this.emit({ type: "oom", count: oomKills });
    this.#oomKills = Math.max(oomKills, this.#oomKills);
    const refused = this.#cgroup.pidsRefused();
    if (refused > this.#pidsRefused) this.emit({ type: "pids_exhausted", count: refused });
    this.#pidsRefused = Math.max(refused, this.#pidsRefused);
    void this.#lookAtDisk();
  }

  async #lookAtDisk(): Promise<void> {
    const disk = await statfs(this.#at.data).catch(() => null);
    if (disk === null || this.#gone || disk.blocks === 0) return;
    const full = disk.bavail / disk.blocks < DISK_FREE_SHARE || disk.ffree === 0;
    if (full && !this.#diskFull) this.emit({ type: "disk_full", usedBytes: (disk.blocks - disk.bfree) * disk.bsize });
    this.#diskFull = full;
  }

  async #endBurst(): Promise<void> {
    await this.#host.clock.sleep(limits.sandbox.startBurstMs);
    if (this.#gone || startTimeOf(this.pid) !== this.startTime) return;
    await this.#cgroup.limitCpu(cpuQuotaUs(this.#spec.limits.cpus)).catch(() => this.stop(0).catch(() => undefined));
  }

  #end(): Promise<void> {
    this.#gone ??= this.#takeDown();
    return this.#gone;
  }

  async #takeDown(): Promise<void> {
    const oomBefore = this.#oomKills;
    this.lookAtCounters();
    const cause = this.#stopping ? "stopped" : this.#oomKills > oomBefore ? "oom" : "ended";
    try {
      await dismantle(this.#host, this.id, this.#started.image);
    } finally {
      this.output.release();
      await this.#spec.door.close().catch(() => undefined);
      await this.#started.onGone();
      this.emit({ type: "exited", cause });
    }
  }
}
