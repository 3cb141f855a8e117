/**
 * What every backend on this machine shares: ids and volumes used once, a start that is undone as a whole, a sweep.
 * An engine adds how a sandbox is built, and how what it left is found.
 */
import { chmodSync, mkdirSync } from "node:fs";
import { chmod, chown, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import {
  type Isolation,
  type Sandbox,
  type SandboxBackend,
  SandboxError,
  type SandboxSpec,
  type Shortfall,
} from "./backend.ts";
import { SANDBOX_UID } from "./bundle.ts";
import { type Cgroup, type Cgroups, readCgroups } from "./cgroup.ts";
import { dismantle, type Host } from "./dismantle.ts";
import { claimIdRange, type IdRange } from "./id-range.ts";
import { Lanes } from "./lanes.ts";
import type { SandboxOutput } from "./output.ts";
import { type Places, type SandboxPlaces, sandboxPlacesOf } from "./places.ts";
import { confirmFence, startTimeOf } from "./proc.ts";
import { runProgram } from "./process.ts";
import type { RunningSandbox } from "./running-sandbox.ts";
import type { RuntimeProfile } from "./runtime-profile.ts";
import type { Runtime } from "./runtime.ts";
import { checkSpec } from "./spec-check.ts";
import { sweep, tidy } from "./sweep.ts";
import { eraseVolume, imageOf, readRecord } from "./volume.ts";
import { Watch } from "./watch.ts";

/** What a start has made so far, for whoever has to undo it. */
export interface Made {
  output?: SandboxOutput;
  sandbox?: RunningSandbox;
}

/** A start under way. */
export interface Build {
  readonly host: Host;
  readonly spec: SandboxSpec;
  readonly at: SandboxPlaces;
  readonly range: IdRange;
  /** Resolved, or null. */
  readonly codeFolder: string | null;
  readonly made: Made;
  readonly onGone: () => Promise<void>;
}

export abstract class LocalBackend implements SandboxBackend {
  abstract readonly name: string;
  readonly clock: Clock;
  readonly places: Places;
  /** How many of the host's id ranges the engine can use. */
  protected readonly idRangesMax: number;
  readonly #watch: Watch;
  readonly #live = new Set<string>();
  readonly #volumes = new Set<string>();
  readonly #removals = new Lanes(limits.sandbox.removalsAtOnceMax);
  /** A start must not build in folders that the end of the last sandbox is about to remove. */
  #tidied: Promise<void> = Promise.resolve();
  #cgroups: Promise<Cgroups | null> | undefined;

  constructor(places: Places, clock: Clock) {
    this.places = places;
    this.idRangesMax = places.hostIdRangesMax;
    this.clock = clock;
    this.#watch = new Watch(clock);
  }

  abstract shortfalls(isolation: Isolation): Promise<readonly Shortfall[]>;
  /** Runtimes of which this installation may have state. */
  protected abstract runtimes(): readonly Runtime[];
  /** Throws SandboxError for a specification that the engine cannot build; before anything is made for it. */
  protected abstract admit(spec: SandboxSpec): Promise<void>;
  protected abstract build(build: Build): Promise<RunningSandbox>;
  /** Ends what the engine itself keeps of a sandbox. */
  protected abstract forget(id: string): Promise<void>;
  /** Ids of this installation that the engine itself knows, running or not. */
  protected abstract known(): Promise<readonly string[]>;

  readCgroups(): Promise<Cgroups | null> {
    this.#cgroups ??= readCgroups();
    return this.#cgroups;
  }

  async #host(): Promise<Host> {
    const cgroups = await this.readCgroups();
    if (cgroups === null) {
      throw new SandboxError("no sandbox can be built here", "run `cordon doctor` to see what this machine lacks");
    }
    return { places: this.places, clock: this.clock, cgroups, runtimes: this.runtimes() };
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    // It may fail before it is asked for, which is not the end of the mesh.
    spec.recorded?.catch(() => undefined);
    const host = await this.#host();
    const codeFolder = await checkSpec(spec);
    await this.admit(spec);
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
    const begun = this.begin(host);
    try {
      await this.#tidied;
      const at = sandboxPlacesOf(this.places, spec.id);
      this.#makeFolder(at);
      const record = await readRecord(this.places, spec.volume);
      const range = claimIdRange(this.places, spec.id, spec.volume, record?.slot, this.idRangesMax);
      const sandbox = await this.build({ host, spec, at, range, codeFolder, made, onGone: forget });
      this.#watch.add(sandbox);
      return sandbox;
    } catch (error) {
      made.output?.destroy();
      await spec.door.close().catch(() => undefined);
      const stuck = await this.remove(host, spec).then(
        () => null,
        (fault: unknown) => asSandboxError(fault, spec.id),
      );
      await forget();
      const cause = asSandboxError(error, spec.id);
      throw stuck ? new SandboxError(`${cause.message}; ${stuck.message}`, stuck.remedy, { cause }) : cause;
    } finally {
      begun();
    }
  }

  /** What can be on its way while the parts of a sandbox are made; called back when the start is over. */
  protected begin(_host: Host): () => void {
    return () => undefined;
  }

  /**
   * Where the runtime is to take the code from. The file server of an application kernel opens paths as an ordinary user,
   * who may not pass through a folder such as /root: the code is mounted where he may.
   */
  protected async shownCode({ at, codeFolder }: Build, profile: RuntimeProfile): Promise<string | null> {
    if (codeFolder === null || profile.process === "agent") return codeFolder;
    await mkdir(at.code, { mode: 0o700 });
    await this.part("mount", ["--bind", "-o", "ro", codeFolder, at.code], "the code folder");
    return at.code;
  }

  protected async part(program: string, args: readonly string[], part: string): Promise<void> {
    const done = await runProgram(program, args, { clock: this.clock });
    if (done.code === 0) return;
    throw new SandboxError(`${part} could not be set up: ${done.stderr.trim()}`, "see `cordon doctor`");
  }

  /** The one way down; throws SandboxError naming what is left. `range` is absent while nobody knows it. */
  protected async remove(host: Host, spec: SandboxSpec, range?: IdRange): Promise<void> {
    await this.forget(spec.id);
    // A thousand that end at once would each look at all that is left of the others.
    await this.#removals.run(() => dismantle(host, spec.id, imageOf(this.places, spec.volume), range?.slot));
  }

  /** In memory: to hand each of these over to another thread costs a start milliseconds, to do it none. */
  #makeFolder(at: SandboxPlaces): void {
    const { installationDir, idsDir } = this.places;
    mkdirSync(installationDir, { recursive: true });
    mkdirSync(idsDir, { recursive: true });
    // Whatever the umask: a mapped root must be able to pass through, and can list nothing.
    for (const folder of [dirname(installationDir), installationDir]) chmodSync(folder, 0o711);
    chmodSync(idsDir, 0o700);
    // Closed until the door belongs to its sandbox; then the mapped root must pass through to the root file system.
    mkdirSync(at.dir, { mode: 0o700 });
    for (const folder of [at.rootfs, at.data]) mkdirSync(folder, { mode: 0o700 });
  }

  protected async openDoor(spec: SandboxSpec, at: SandboxPlaces, range: IdRange): Promise<void> {
    await spec.door.listen(at.door);
    await chmod(at.door, 0o600);
    await chown(at.door, range.hostId + SANDBOX_UID, range.hostId + SANDBOX_UID);
  }

  /** Whatever the engine said: the kernel must show the fence and hold the limits, or the process must have ended. */
  protected async confirm(
    { spec, range }: Build,
    profile: RuntimeProfile,
    cgroup: Cgroup,
    pid: number,
    startTime: string,
  ): Promise<void> {
    await confirmFence(pid, startTime, range.hostId + SANDBOX_UID, profile, this.clock);
    const { memoryBytes, pids } = spec.limits;
    const fault = await cgroup.faultOf(pid, memoryBytes, pids + profile.threadsOfKernel);
    if (fault === null || startTimeOf(pid) !== startTime) return;
    throw new SandboxError(`the fence is not complete: ${fault}`, "update the OCI runtime; see `cordon doctor`");
  }

  async sweep(): Promise<readonly string[]> {
    const host = await this.#host();
    const found = (await this.known()).filter((id) => !this.#live.has(id));
    for (const id of found) await this.forget(id);
    return [...new Set([...(await sweep(host, this.#live)), ...found])].toSorted();
  }

  async eraseVolume(volume: string): Promise<void> {
    if (this.#volumes.has(volume)) throw new SandboxError(`volume \`${volume}\` is in use`, "stop its sandbox first");
    await eraseVolume(this.places, volume);
  }
}

function asSandboxError(error: unknown, id: string): SandboxError {
  if (error instanceof SandboxError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new SandboxError(`sandbox \`${id}\` could not be built: ${why}`, "see `cordon doctor`", { cause: error });
}
