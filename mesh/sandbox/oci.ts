/** The `oci` backend: builds the fence of ARCHITECTURE.md §2 with runc, crun or runsc and the kernel alone. */
import { chmodSync, chownSync, closeSync, constants, openSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { type Isolation, type SandboxBackend, SandboxError, type SandboxSpec } from "./backend.ts";
import { bundleOf, SANDBOX_UID } from "./bundle.ts";
import { Cgroup, ownProcessList } from "./cgroup.ts";
import { type Denials, deniedCallsUnseen, watchDenials } from "./denials.ts";
import type { Host } from "./dismantle.ts";
import type { IdRange } from "./id-range.ts";
import { type Build, LocalBackend } from "./local-backend.ts";
import { SandboxOutput } from "./output.ts";
import { placesOf, type SandboxPlaces } from "./places.ts";
import { signalProcess, startTimeOf } from "./proc.ts";
import { aboutNamespace } from "./rootless/namespace.ts";
import type { Finished } from "./process.ts";
import { mountFlags, quickly, reapedExit, warmGroups } from "./reaper.ts";
import { type Engine, RunningSandbox } from "./running-sandbox.ts";
import { type RuntimeProfile, runtimeProfiles } from "./runtime-profile.ts";
import { Runtime } from "./runtime.ts";
import { SandboxDenials } from "./sandbox-denials.ts";
import { shortfallsOf } from "./shortfalls.ts";
import { mountVolume } from "./volume.ts";

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

export function createOciBackend(options: OciOptions): SandboxBackend {
  return new OciBackend(options);
}

class OciBackend extends LocalBackend {
  readonly name: string;
  readonly #options: OciOptions;
  /** What gives each isolation here. */
  readonly #runtimes = new Map<Isolation, Runtime>();
  readonly #unseen = new Map<Isolation, Promise<string | null>>();
  /** Of the sandboxes whose refused calls are told. */
  readonly #denials = new Map<string, Denials>();
  #ownProcesses: Promise<string> | undefined;

  constructor(options: OciOptions) {
    super(placesOf(options.installation, options.stateDir, options.runDir), options.clock);
    this.#options = options;
    const { namespace } = this.places;
    this.name = namespace === null ? "oci" : `oci, ${aboutNamespace(namespace)}`;
    const files: Readonly<Record<RuntimeProfile["isolation"], string | null>> = {
      container: options.runtime,
      // Not proved in a user namespace, so not to be had there.
      gvisor: namespace === null ? (options.gvisor ?? null) : null,
    };
    for (const profile of Object.values(runtimeProfiles)) {
      const file = files[profile.isolation];
      if (file !== null) this.#runtimes.set(profile.isolation, new Runtime(file, profile, this.places, options.clock));
    }
  }

  async shortfalls(isolation: Isolation) {
    const { rootfs, clock } = this.#options;
    const runtime = this.#runtimes.get(isolation) ?? null;
    return shortfallsOf({ runtime, cgroups: await this.readCgroups(), rootfs, clock }, isolation);
  }

  /** Asked once: a runtime that is changed under a running mesh must not start other sandboxes than the doctor has told of. */
  deniedCallsUnseen(isolation: Isolation): Promise<string | null> {
    const known = this.#unseen.get(isolation);
    if (known) return known;
    const asked = this.#askUnseen(isolation);
    this.#unseen.set(isolation, asked);
    asked.catch(() => this.#unseen.delete(isolation));
    return asked;
  }

  async #askUnseen(isolation: Isolation): Promise<string | null> {
    const runtime = this.#runtimes.get(isolation);
    if (runtime === undefined) return "there are no such sandboxes here";
    if (runtime.profile.process !== "agent") return "the calls of its sandboxes end in a kernel of its own";
    return deniedCallsUnseen(runtime.file, this.clock);
  }

  protected override runtimes(): readonly Runtime[] {
    return [...this.#runtimes.values()];
  }

  #runtimeFor({ isolation }: SandboxSpec): Runtime {
    const runtime = this.#runtimes.get(isolation);
    if (runtime !== undefined) return runtime;
    const remedy = "run `cordon doctor` to see what this machine lacks";
    throw new SandboxError(`isolation \`${isolation}\` cannot be had here`, remedy);
  }

  protected override begin({ cgroups }: Host): () => void {
    this.#ownProcesses ??= ownProcessList(cgroups);
    const warm = this.#ownProcesses.then((file) => warmGroups(file, this.#bounds));
    return () => void warm.then((end) => end());
  }

  protected override async admit(spec: SandboxSpec): Promise<void> {
    this.#runtimeFor(spec);
  }

  protected override async build(build: Build): Promise<RunningSandbox> {
    const { host, spec, at, range, made, onGone } = build;
    const { clock } = this;
    const runtime = this.#runtimeFor(spec);
    const { profile } = runtime;
    const code = await this.shownCode(build, profile);
    const denials = (await this.deniedCallsUnseen(spec.isolation)) === null ? new SandboxDenials() : null;
    const bundle = bundleOf(spec, at, range.hostId, code, profile, denials !== null);
    const serving = this.places.namespace && {
      ...{ cgroups: host.cgroups, group: at.dataCgroup, cpus: spec.limits.cpus, log: join(at.dir, "data.log") },
    };
    const mounting = mountVolume(this.places, spec.volume, spec.limits.diskBytes, range, at.data, clock, serving);
    const parts = await Promise.allSettled([
      this.openDoor(spec, at, range),
      mounting,
      this.#mountRoot(spec.rootfs ?? this.#options.rootfs, at, profile),
      this.#makePipe(at.log),
      denials === null ? null : this.#watchDenials(spec.id, at, denials),
      writeFile(at.config, JSON.stringify(bundle), { mode: 0o600 }),
      spec.recorded,
    ]);
    // All of them have settled, so that the way down meets no half-made mount of a part still at work.
    for (const part of parts) if (part.status === "rejected") throw part.reason;
    chmodSync(at.dir, 0o711);

    const reader = openSync(at.log, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = SandboxOutput.ofPipe(reader, clock, (bytesPerSecond) =>
      made.sandbox?.emit({ type: "log_flood", bytesPerSecond }),
    );
    made.output = output;
    // A program that opens /dev/stdout anew needs the right to write to it.
    chownSync(at.log, range.hostId + SANDBOX_UID, range.hostId + SANDBOX_UID);
    const writer = openSync(at.log, constants.O_WRONLY);
    const pid = await runtime.run(spec.id, at).finally(() => closeSync(writer));
    const startTime = startTimeOf(pid) ?? "ended";
    const cgroup = new Cgroup(host.cgroups, at.cgroup);
    if (startTime !== "ended") await this.confirm(build, profile, cgroup, pid, startTime);
    const rootless = this.places.namespace !== null;
    const engine = engineOf(spec.id, runtime, at, cgroup, pid, startTime, clock, rootless, () =>
      this.remove(host, spec, range),
    );
    const started = { engine, pid, startTime, cgroup, data: at.data, output, onGone, companion: await mounting };
    made.sandbox = new RunningSandbox(spec, clock, started);
    denials?.tellAs(made.sandbox);
    return made.sandbox;
  }

  async #watchDenials(id: string, at: SandboxPlaces, denials: SandboxDenials): Promise<void> {
    this.#denials.set(id, await watchDenials(at.denials, denials, this.clock));
  }

  /** With the last of its refused calls told, so that its end is the last event. */
  protected override async remove(host: Host, spec: SandboxSpec, range?: IdRange): Promise<void> {
    const denials = this.#denials.get(spec.id);
    this.#denials.delete(spec.id);
    await Promise.all([super.remove(host, spec, range), denials?.end()]);
  }

  async #mountRoot(from: string, at: SandboxPlaces, { rootfsOptions }: RuntimeProfile): Promise<void> {
    const flags = rootfsOptions.reduce((sum, name) => sum | mountFlags[name], 0);
    if (await quickly.bind(from, at.rootfs, flags, this.#bounds)) return;
    await this.part("mount", ["--bind", "-o", rootfsOptions.join(), from, at.rootfs], "the root file system");
  }

  async #makePipe(path: string): Promise<void> {
    if (!(await quickly.pipe(path, this.#bounds))) await this.part("mkfifo", ["--mode=200", path], "the log pipe");
  }

  get #bounds() {
    return { clock: this.clock, timeoutMs: limits.sandbox.toolTimeoutMs };
  }

  /** Its state is a folder beside the sandboxes, which taking them apart covers. */
  protected override async forget(): Promise<void> {}

  protected override async known(): Promise<readonly string[]> {
    return [];
  }
}

function engineOf(
  id: string,
  runtime: Runtime,
  at: SandboxPlaces,
  cgroup: Cgroup,
  pid: number,
  startTime: string,
  clock: Clock,
  rootless: boolean,
  remove: () => Promise<void>,
): Engine {
  const direct = runtime.profile.process === "agent";
  let execs = 0;
  // Killing the runtime's client would leave the command running inside.
  const endExec = async (pidFile: string): Promise<void> => {
    const inner = Number(await readFile(pidFile, "latin1").catch(() => "0"));
    if (inner <= 1) return;
    if (!direct) return runtime.signal(id, "KILL", inner);
    const since = startTimeOf(inner);
    if (since !== null && (await cgroup.processes()).includes(inner)) signalProcess(inner, since, "SIGKILL");
  };
  return {
    terminate: async () => (direct ? signalProcess(pid, startTime, "SIGTERM") : runtime.signal(id, "TERM")),
    async exec(command, bounds): Promise<Finished> {
      const pidFile = join(at.dir, `exec-${++execs}`);
      const groups = rootless ? await cgroup.standing() : null;
      const told = { ...bounds, onTimeout: () => void endExec(pidFile) };
      const done = await runtime.exec(id, at, pidFile, command, told, groups);
      await rm(pidFile, { force: true });
      return done;
    },
    exit: () => reapedExit(pid, clock),
    remove,
  };
}
