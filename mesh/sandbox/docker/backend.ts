/** The `docker` backend: the same fence, built by the engine of this machine through its API. */
import { chmod } from "node:fs/promises";
import { pipeline } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import type { Clock } from "../../../lib/clock.ts";
import {
  type Exit,
  type Isolation,
  type SandboxBackend,
  SandboxError,
  type SandboxSpec,
  type Shortfall,
} from "../backend.ts";
import { Cgroup } from "../cgroup.ts";
import { type Build, LocalBackend } from "../local-backend.ts";
import { SandboxOutput } from "../output.ts";
import { placesOf } from "../places.ts";
import { cgroupPathOf, startTimeOf } from "../proc.ts";
import { RunningSandbox } from "../running-sandbox.ts";
import type { Runtime } from "../runtime.ts";
import { mountVolume } from "../volume.ts";
import { containerOf, LABEL_INSTALLATION, LABEL_SANDBOX } from "./container.ts";
import { DOCKER_SOCKET, DockerEngine } from "./engine.ts";
import { execIn } from "./exec.ts";
import { FrameReader } from "./frames.ts";
import { ensureImage, idOf } from "./image.ts";
import { dockerProfiles } from "./profile.ts";
import { dockerShortfalls } from "./shortfalls.ts";

/** The engine learns of an end a moment after the kernel. */
const EXIT_ATTEMPTS = 50;

export interface DockerOptions {
  /** 8 characters of `a-z0-9`, the same for one state folder at every start. */
  readonly installation: string;
  readonly stateDir: string;
  /** From `ensureRootfs`. */
  readonly rootfs: string;
  readonly socketPath?: string;
  readonly clock: Clock;
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
  readonly #images = new Map<string, Promise<string>>();

  constructor(options: DockerOptions) {
    super(placesOf(options.installation, options.stateDir), options.clock);
    this.#options = options;
    this.#engine = new DockerEngine(options.socketPath ?? DOCKER_SOCKET, options.clock);
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
    const { profile, runtimes } = dockerProfiles[spec.isolation];
    const imported = this.#imageId(spec.rootfs ?? this.#options.rootfs);
    const parts = await Promise.allSettled([
      imported,
      this.openDoor(spec, at, range),
      mountVolume(this.places, spec.volume, spec.limits.diskBytes, range, at.data, this.clock),
    ]);
    // All of them have settled, so that the way down meets no half-made mount of a part still at work.
    for (const part of parts) if (part.status === "rejected") throw part.reason;
    const image = await imported;
    const codeFolder = await this.shownCode(build, profile);
    await chmod(at.dir, 0o711);
    const plan = { spec, at, image, profile, codeFolder, hostId: range.hostId, runtime: runtimes[0] ?? "" };
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
    made.sandbox = new RunningSandbox(spec, clock, { engine, pid, startTime, cgroup, data: at.data, output, onGone });
    return made.sandbox;
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
      const { State } = found as { State?: { Running?: boolean; ExitCode?: number } };
      if (State?.Running === false) return { code: State.ExitCode ?? 0 };
      await this.clock.sleep(10);
    }
    return null;
  }

  /** Zero when it has ended already. */
  async #pidOf(container: string): Promise<number> {
    const found = (await this.#engine.ask("GET", `/containers/${container}/json`)) as { State?: { Pid?: number } };
    return found.State?.Pid ?? 0;
  }

  /** By its labels, never by a name that anybody could have chosen. */
  protected override async forget(id: string): Promise<void> {
    for (const { Id } of await this.#containers(`${LABEL_SANDBOX}=${id}`)) {
      const { status, body } = await this.#engine.try("DELETE", `/containers/${Id}?force=1&v=1`);
      // 404: gone already; 409: another removal of it is under way.
      if (status >= 400 && status !== 404 && status !== 409) {
        throw new SandboxError(`docker did not remove sandbox \`${id}\`: ${JSON.stringify(body)}`, "restart docker");
      }
    }
  }

  protected override async known(): Promise<readonly string[]> {
    return (await this.#containers()).map(({ Labels }) => Labels[LABEL_SANDBOX] ?? "").filter((id) => id !== "");
  }

  async #containers(...labels: readonly string[]) {
    const label = [`${LABEL_INSTALLATION}=${this.places.installation}`, ...labels];
    const filters = encodeURIComponent(JSON.stringify({ label }));
    const found = await this.#engine.ask("GET", `/containers/json?all=1&filters=${filters}`);
    return found as readonly { readonly Id: string; readonly Labels: Readonly<Record<string, string>> }[];
  }
}
