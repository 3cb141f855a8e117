/** The `oci` backend: builds the fence of ARCHITECTURE.md §2 with runc, crun or runsc and the kernel alone. */
import { closeSync, constants, openSync } from "node:fs";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { type Isolation, type Sandbox, type SandboxBackend, SandboxError, type SandboxSpec } from "./backend.ts";
import { bundleOf, SANDBOX_UID } from "./bundle.ts";
import { Cgroup, type Cgroups, readCgroups } from "./cgroup.ts";
import { dismantle, type Host } from "./dismantle.ts";
import { claimIdRange, type IdRange } from "./id-range.ts";
import { OciSandbox } from "./oci-sandbox.ts";
import { SandboxOutput } from "./output.ts";
import { type Places, placesOf, type SandboxPlaces, sandboxPlacesOf } from "./places.ts";
import { confirmFence, startTimeOf } from "./proc.ts";
import { runProgram } from "./process.ts";
import { type RuntimeProfile, runtimeProfiles } from "./runtime-profile.ts";
import { Runtime } from "./runtime.ts";
import { shortfallsOf } from "./shortfalls.ts";
import { checkSpec } from "./spec-check.ts";
import { sweep, tidy } from "./sweep.ts";
import { eraseVolume, imageOf, mountVolume, readRecord } from "./volume.ts";
import { Watch } from "./watch.ts";

export interface OciOptions {
  /** 8 characters of `a-z0-9`, the same for one state folder at every start. */
  readonly installation: string;
  readonly stateDir: string;
  /** From `ensureRootfs`. */
  readonly rootfs: string;
  /** Absolute path of runc or crun (see `findRuntime`); null when the machine has none. */
  readonly runtime: string | null;
  /** Absolute path of runsc, for `isolation: gvisor`; absent or null when the machine has none. */
  readonly gvisor?: string | null;
  readonly clock: Clock;
  /** Only for tests; all installations of a machine must share it, for they share the host ids. */
  readonly runDir?: string;
}

/** What a start has made so far, for whoever has to undo it. */
interface Made {
  output?: SandboxOutput;
  sandbox?: OciSandbox;
}

export function createOciBackend(options: OciOptions): SandboxBackend {
  const places = placesOf(options.installation, options.stateDir, options.runDir);
  return new OciBackend(options, places);
}

class OciBackend implements SandboxBackend {
  readonly name = "oci";
  readonly #options: OciOptions;
  readonly #places: Places;
  /** What gives each isolation here. */
  readonly #runtimes = new Map<Isolation, Runtime>();
  readonly #watch: Watch;
  readonly #live = new Set<string>();
  readonly #volumes = new Set<string>();
  /** A start must not build in folders that the end of the last sandbox is about to remove. */
  #tidied: Promise<void> = Promise.resolve();
  #cgroups: Promise<Cgroups | null> | undefined;

  constructor(options: OciOptions, places: Places) {
    this.#options = options;
    this.#places = places;
    const files: Readonly<Record<RuntimeProfile["isolation"], string | null>> = {
      container: options.runtime,
      gvisor: options.gvisor ?? null,
    };
    for (const profile of Object.values(runtimeProfiles)) {
      const file = files[profile.isolation];
      if (file !== null) this.#runtimes.set(profile.isolation, new Runtime(file, profile, places, options.clock));
    }
    this.#watch = new Watch(options.clock);
  }

  async shortfalls(isolation: Isolation) {
    const { rootfs, clock } = this.#options;
    const runtime = this.#runtimes.get(isolation) ?? null;
    return shortfallsOf({ runtime, cgroups: await this.#readCgroups(), rootfs, clock }, isolation);
  }

  #readCgroups(): Promise<Cgroups | null> {
    this.#cgroups ??= readCgroups();
    return this.#cgroups;
  }

  async #host(): Promise<Host> {
    const cgroups = await this.#readCgroups();
    if (this.#runtimes.size === 0 || cgroups === null) {
      throw new SandboxError("no sandbox can be built here", "run `cordon doctor` to see what this machine lacks");
    }
    return { places: this.#places, clock: this.#options.clock, cgroups, runtimes: [...this.#runtimes.values()] };
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    const host = await this.#host();
    const codeFolder = await checkSpec(spec);
    const runtime = this.#runtimes.get(spec.isolation);
    if (runtime === undefined) {
      throw new SandboxError(
        `isolation \`${spec.isolation}\` cannot be had here`,
        "run `cordon doctor` to see what this machine lacks",
      );
    }
    if (this.#live.has(spec.id))
      throw new SandboxError(`sandbox id \`${spec.id}\` was used before`, "give every start a new id");
    if (this.#volumes.has(spec.volume)) {
      throw new SandboxError(`volume \`${spec.volume}\` is in use`, "stop the sandbox that uses it first");
    }
    this.#live.add(spec.id);
    this.#volumes.add(spec.volume);
    const forget = async (): Promise<void> => {
      this.#live.delete(spec.id);
      this.#volumes.delete(spec.volume);
      if (this.#live.size === 0) this.#tidied = tidy(host);
      await this.#tidied;
    };
    const made: Made = {};
    try {
      await this.#tidied;
      const sandbox = await this.#build(host, runtime, spec, codeFolder, made, forget);
      this.#watch.add(sandbox);
      return sandbox;
    } catch (error) {
      made.output?.destroy();
      await spec.door.close().catch(() => undefined);
      const stuck = await dismantle(host, spec.id, imageOf(this.#places, spec.volume)).then(
        () => null,
        (fault: unknown) => asSandboxError(fault, spec.id),
      );
      await forget();
      const cause = asSandboxError(error, spec.id);
      throw stuck ? new SandboxError(`${cause.message}; ${stuck.message}`, stuck.remedy, { cause }) : cause;
    }
  }

  async #build(
    host: Host,
    runtime: Runtime,
    spec: SandboxSpec,
    codeFolder: string | null,
    made: Made,
    onGone: () => Promise<void>,
  ): Promise<OciSandbox> {
    const { clock } = this.#options;
    const { profile } = runtime;
    const at = sandboxPlacesOf(this.#places, spec.id);
    await this.#makeFolder(at);
    const record = await readRecord(this.#places, spec.volume);
    const range = await claimIdRange(this.#places, spec.id, spec.volume, record?.slot);
    const parts = await Promise.allSettled([
      this.#openDoor(spec, at, range),
      mountVolume(this.#places, spec.volume, spec.limits.diskBytes, range, at.data, clock),
      this.#part(
        "mount",
        ["--bind", "-o", profile.rootfsOptions, this.#options.rootfs, at.rootfs],
        "the root file system",
      ),
      this.#part("mkfifo", ["--mode=200", at.log], "the log pipe"),
      writeFile(at.config, JSON.stringify(bundleOf(spec, at, range.hostId, codeFolder, profile)), { mode: 0o600 }),
    ]);
    // All of them have settled, so that the way down meets no half-made mount of a part still at work.
    for (const part of parts) if (part.status === "rejected") throw part.reason;
    await chmod(at.dir, 0o711);

    const reader = openSync(at.log, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = new SandboxOutput(reader, clock, (bytesPerSecond) =>
      made.sandbox?.emit({ type: "log_flood", bytesPerSecond }),
    );
    made.output = output;
    // A program that opens /dev/stdout anew needs the right to write to it.
    await chown(at.log, range.hostId + SANDBOX_UID, range.hostId + SANDBOX_UID);
    const writer = openSync(at.log, constants.O_WRONLY);
    const pid = await runtime.run(spec.id, at, writer).finally(() => closeSync(writer));
    const startTime = startTimeOf(pid) ?? "ended";
    if (startTime !== "ended") {
      await confirmFence(pid, startTime, range.hostId + SANDBOX_UID, profile, clock);
      await this.#confirmLimits(new Cgroup(host.cgroups, at.cgroup), spec, profile, pid, startTime);
    }
    const image = imageOf(this.#places, spec.volume);
    made.sandbox = new OciSandbox(spec, host, { runtime, pid, startTime, image, output, onGone });
    return made.sandbox;
  }

  async #makeFolder(at: SandboxPlaces): Promise<void> {
    const { installationDir, idsDir } = this.#places;
    await mkdir(installationDir, { recursive: true });
    await mkdir(idsDir, { recursive: true });
    // Whatever the umask: a mapped root must be able to pass through, and can list nothing.
    for (const folder of [dirname(installationDir), installationDir]) await chmod(folder, 0o711);
    await chmod(idsDir, 0o700);
    // Closed until the door belongs to its sandbox; then the mapped root must pass through to the root file system.
    await mkdir(at.dir, { mode: 0o700 });
    await Promise.all([mkdir(at.rootfs, { mode: 0o700 }), mkdir(at.data, { mode: 0o700 })]);
  }

  async #openDoor(spec: SandboxSpec, at: SandboxPlaces, range: IdRange): Promise<void> {
    await spec.door.listen(at.door);
    await chmod(at.door, 0o600);
    await chown(at.door, range.hostId + SANDBOX_UID, range.hostId + SANDBOX_UID);
  }

  async #confirmLimits(cgroup: Cgroup, spec: SandboxSpec, profile: RuntimeProfile, pid: number, startTime: string) {
    const { memoryBytes, pids } = spec.limits;
    const fault = await cgroup.faultOf(pid, memoryBytes, pids + profile.threadsOfKernel);
    if (fault === null || startTimeOf(pid) !== startTime) return;
    throw new SandboxError(`the fence is not complete: ${fault}`, "update the OCI runtime; see `cordon doctor`");
  }

  async #part(program: string, args: readonly string[], part: string): Promise<void> {
    const done = await runProgram(program, args, { clock: this.#options.clock });
    if (done.code === 0) return;
    throw new SandboxError(`${part} could not be set up: ${done.stderr.trim()}`, "see `cordon doctor`");
  }

  async sweep(): Promise<readonly string[]> {
    return sweep(await this.#host(), this.#live);
  }

  async eraseVolume(volume: string): Promise<void> {
    if (this.#volumes.has(volume)) throw new SandboxError(`volume \`${volume}\` is in use`, "stop its sandbox first");
    await eraseVolume(this.#places, volume);
  }
}

function asSandboxError(error: unknown, id: string): SandboxError {
  if (error instanceof SandboxError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new SandboxError(`sandbox \`${id}\` could not be built: ${why}`, "see `cordon doctor`", { cause: error });
}
