/** The `docker` backend: the same fence, built by the engine of this machine through its API. */
import { chmod } from "node:fs/promises";
import { pipeline } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import type { Clock } from "../../../lib/clock.ts";
import type { Id } from "../../../lib/id.ts";
import {
  type Exit,
  type Isolation,
  type SandboxBackend,
  SandboxError,
  type SandboxEvent,
  type SandboxSpec,
  type Shortfall,
} from "../backend.ts";
import { Cgroup } from "../cgroup.ts";
import { type Build, LocalBackend } from "../local-backend.ts";
import { SandboxOutput } from "../output.ts";
import { placesOf } from "../places.ts";
import { cgroupPathOf, confirmFence, signalProcess, startTimeOf } from "../proc.ts";
import { RunningSandbox } from "../running-sandbox.ts";
import type { Runtime } from "../runtime.ts";
import { mountVolume } from "../volume.ts";
import { Container, read } from "./answers.ts";
import { containerOf } from "./container.ts";
import { DoorRelay } from "./door-relay.ts";
import { DOCKER_SOCKET, DockerEngine } from "./engine.ts";
import { execIn } from "./exec.ts";
import { FrameReader } from "./frames.ts";
import { ensureImage, idOf } from "./image.ts";
import { engineInfo } from "./info.ts";
import { dockerProfiles } from "./profile.ts";
import { RELAY_UID } from "./relay-container.ts";
import { Resources } from "./resources.ts";
import { dockerShortfalls } from "./shortfalls.ts";
import { topologyOf, type Way, wayOf } from "./topology.ts";

/** The engine learns of an end a moment after the kernel. */
const EXIT_ATTEMPTS = 50;

export interface DockerOptions {
  /** 8 characters of `a-z0-9`, the same for one state folder at every start. */
  readonly installation: string;
  readonly stateDir: string;
  /** From `ensureRootfs`. */
  readonly rootfs: string;
  readonly socketPath?: string;
  /** Doors go through relays although they could be mounted. */
  readonly relay?: boolean;
  readonly clock: Clock;
  /** Draws the keys of relays. */
  readonly id: Id;
}

export function createDockerBackend(options: DockerOptions): SandboxBackend {
  return new DockerBackend(options);
}

class DockerBackend extends LocalBackend {
  readonly name = "docker";
  /** The engine takes no user id above 2^31 - 1. */
  protected override readonly idRangesMax = Math.floor(
    (2 ** 31 - limits.sandbox.hostIdFirst) / limits.sandbox.hostIdsPerSandbox,
  );
  readonly #options: DockerOptions;
  readonly #engine: DockerEngine;
  readonly #resources: Resources;
  readonly #images = new Map<string, Promise<string>>();
  readonly #relays = new Map<string, DoorRelay>();
  #way: Promise<Way | null> | undefined;

  constructor(options: DockerOptions) {
    super(placesOf(options.installation, options.stateDir), options.clock);
    this.#options = options;
    this.#engine = new DockerEngine(options.socketPath ?? DOCKER_SOCKET, options.clock);
    this.#resources = new Resources(this.#engine, options.installation, options.clock);
  }

  shortfalls(isolation: Isolation): Promise<readonly Shortfall[]> {
    return dockerShortfalls(this.#engine, isolation, this.#options.rootfs);
  }

  async deniedCallsUnseen(): Promise<string> {
    return "the docker engine keeps the filters of its containers to itself";
  }

  protected override runtimes(): readonly Runtime[] {
    return [];
  }

  protected override async admit({ isolation }: SandboxSpec): Promise<void> {
    const [first, ...more] = await this.shortfalls(isolation);
    if (first === undefined) return;
    const all = [first, ...more];
    throw new SandboxError(all.map(({ what }) => what).join("; "), all.map(({ remedy }) => remedy).join("; "));
  }

  protected override async build(build: Build): Promise<RunningSandbox> {
    const { host, spec, at, range, made, onGone } = build;
    if (spec.isolation === "microvm") throw new SandboxError("isolation `microvm` cannot be had here", "use `gvisor`");
    await spec.recorded;
    const { profile, runtimes } = dockerProfiles[spec.isolation];
    const imported = this.#imageId(spec.rootfs ?? this.#options.rootfs);
    const told: SandboxEvent[] = [];
    const opened = this.#openDoor(build, told);
    const parts = await Promise.allSettled([
      imported,
      opened,
      mountVolume(this.places, spec.volume, spec.limits.diskBytes, range, at.data, this.clock),
    ]);
    // All of them have settled, so that the way down meets no half-made mount of a part still at work.
    for (const part of parts) if (part.status === "rejected") throw part.reason;
    const image = await imported;
    const codeFolder = await this.shownCode(build, profile);
    await chmod(at.dir, 0o711);
    const doorVolume = (await opened)?.volume ?? null;
    const plan = { spec, at, image, profile, codeFolder, doorVolume, hostId: range.hostId, runtime: runtimes[0] ?? "" };
    const body = containerOf({ ...plan, installation: this.places.installation });
    const name = `cordon-${this.places.installation}-${spec.id}`;
    const container = idOf(await this.#engine.ask("POST", `/containers/create?name=${name}`, body), "Id");

    // Attached before it starts, so that nothing it prints is lost.
    const socket = await this.#engine.stream(`/containers/${container}/attach?stream=1&stdout=1&stderr=1`);
    const frames = pipeline(socket, new FrameReader(), () => undefined);
    const output = new SandboxOutput(frames, this.clock, (bytesPerSecond) =>
      made.sandbox?.emit({ type: "log_flood", bytesPerSecond }),
    );
    made.output = output;
    await this.#engine.ask("POST", `/containers/${container}/start`);
    const pid = await this.#pidOf(container);
    const startTime = startTimeOf(pid) ?? "ended";
    const cgroup = new Cgroup(host.cgroups, (await cgroupPathOf(pid)) ?? at.cgroup);
    if (startTime !== "ended") await this.confirm(build, profile, cgroup, pid, startTime);
    // The engine ends no container whose last words are not taken; nobody may take them for ever.
    const spoken = new AbortController();
    const lastWords = (): void => {
      output.release();
      this.clock.sleep(limits.docker.lastOutputMs, spoken.signal).then(
        () => socket.destroy(),
        () => undefined,
      );
    };
    const engine = {
      terminate: async (): Promise<void> => {
        await this.#engine.try("POST", `/containers/${container}/kill?signal=SIGTERM`).catch(() => undefined);
      },
      exec: (command: readonly string[], bounds: { readonly outputBytesMax: number; readonly timeoutMs: number }) =>
        execIn(this.#engine, container, command, { ...bounds, clock: this.clock }),
      exit: () => {
        lastWords();
        return this.#exitOf(container);
      },
      remove: async (): Promise<void> => {
        lastWords();
        await this.remove(host, spec, range).finally(() => spoken.abort());
      },
    };
    const { clock } = this;
    made.sandbox = new RunningSandbox(spec, clock, {
      engine,
      pid,
      startTime,
      cgroup,
      data: at.data,
      output,
      told,
      onGone,
    });
    if (this.#relays.get(spec.id)?.isGone) signalProcess(pid, startTime, "SIGKILL");
    return made.sandbox;
  }

  /** As a socket of this machine, or, where there can be none, through a relay, which is returned. */
  async #openDoor(build: Build, told: SandboxEvent[]): Promise<DoorRelay | null> {
    const { spec, at, range, made } = build;
    const way = await this.#wayOfRelays();
    if (way === null) {
      await this.openDoor(spec, at, range);
      return null;
    }
    // Closed to everybody: the mesh itself is who comes there.
    await spec.door.listen(at.door);
    await chmod(at.door, 0o600);
    const image = await this.#imageId(this.#options.rootfs);
    const plan = { installation: this.places.installation, id: spec.id, hostId: range.hostId, image, way };
    const relay = new DoorRelay(plan, {
      ...{ engine: this.#engine, resources: this.#resources, clock: this.clock, id: this.#options.id },
      ...{ door: at.door, cpus: spec.limits.cpus },
      confirm: (container) => this.#confirmRelay(build, container),
      tell: (event) => (made.sandbox ? made.sandbox.emit(event) : void told.push(event)),
      gone: () => made.sandbox && signalProcess(made.sandbox.pid, made.sandbox.startTime, "SIGKILL"),
    });
    // Closed by `forget`, on whatever way down.
    this.#relays.set(spec.id, relay);
    await relay.open();
    return relay;
  }

  /** Null: doors are sockets of this machine. Asked once, for an engine does not move. */
  #wayOfRelays(): Promise<Way | null> {
    this.#way ??= engineInfo(this.#engine).then(
      (info) => (topologyOf(info, this.#options.relay ?? false) === "relay" ? wayOf(info) : null),
      (error: unknown) => {
        this.#way = undefined;
        throw error;
      },
    );
    return this.#way;
  }

  async #confirmRelay({ host, range }: Build, container: string): Promise<void> {
    const pid = await this.#pidOf(container);
    const startTime = startTimeOf(pid);
    // One that has ended already has given its word to nobody.
    if (startTime === null) throw new SandboxError("the relay of the door has ended at once", "see `cordon doctor`");
    await confirmFence(pid, startTime, range.hostId + RELAY_UID, dockerProfiles.container.profile, this.clock);
    const { relayMemoryBytes, relayTasksMax } = limits.docker;
    const cgroup = new Cgroup(host.cgroups, (await cgroupPathOf(pid)) ?? "");
    const fault = await cgroup.faultOf(pid, relayMemoryBytes, relayTasksMax);
    if (fault !== null) throw new SandboxError(`the fence of a relay is not complete: ${fault}`, "update docker");
  }

  /** Imported once for all starts; one that failed is tried again by the next. */
  #imageId(rootfs: string): Promise<string> {
    const known = this.#images.get(rootfs);
    if (known) return known;
    const image = ensureImage(this.#engine, rootfs).catch((error: unknown) => {
      this.#images.delete(rootfs);
      throw error;
    });
    this.#images.set(rootfs, image);
    return image;
  }

  /** The engine tells no signal but by the shell's convention, 128 and its number. */
  async #exitOf(container: string): Promise<Exit | null> {
    for (let attempt = 0; attempt < EXIT_ATTEMPTS; attempt++) {
      const found = await this.#engine.ask("GET", `/containers/${container}/json`);
      const { State } = read(Container, found);
      if (!State.Running) return { code: State.ExitCode };
      await this.clock.sleep(10);
    }
    return null;
  }

  /** Zero when it has ended already. */
  async #pidOf(container: string): Promise<number> {
    return read(Container, await this.#engine.ask("GET", `/containers/${container}/json`)).State.Pid;
  }

  protected override async forget(id: string): Promise<void> {
    await this.#relays.get(id)?.close();
    this.#relays.delete(id);
    await this.#resources.remove(id);
  }

  protected override async known(): Promise<readonly string[]> {
    return [...new Set((await this.#resources.list()).map(({ sandbox }) => sandbox))];
  }
}
