/** The fence as the body of `POST /containers/create` (Engine API 1.41), a pure function of the specification. */
import { sandboxPaths } from "../../../protocol/sandbox-paths.ts";
import { limits } from "../../../protocol/limits.ts";
import { assert } from "../../../lib/assert.ts";
import type { SandboxSpec } from "../backend.ts";
import {
  CPU_PERIOD_US,
  cpuQuotaUs,
  fixedEnvironment,
  maskedPaths,
  readonlyPaths,
  rlimits,
  SANDBOX_UID,
} from "../bundle.ts";
import type { SandboxPlaces } from "../places.ts";
import type { RuntimeProfile } from "../runtime-profile.ts";
import { seccompFor } from "../seccomp.ts";
import { dirname } from "node:path";

export const LABEL_INSTALLATION = "dev.cordon.installation";
/** Of everything that belongs to one sandbox: its relay, the network of that, and the folder that both share. */
export const LABEL_SANDBOX = "dev.cordon.sandbox";

/** What no container of ours is without, whatever it runs. */
export function fenceOf({ clone3 }: Pick<RuntimeProfile, "clone3">) {
  const seccomp = seccompFor(process.arch, clone3);
  assert(seccomp, "the start of a sandbox was refused on an architecture without a system-call list");
  return {
    IpcMode: "none",
    CgroupnsMode: "private",
    Privileged: false,
    CapDrop: ["ALL"],
    SecurityOpt: ["no-new-privileges", `seccomp=${JSON.stringify(seccomp)}`],
    ReadonlyRootfs: true,
    MaskedPaths: maskedPaths.filter((path) => path !== "/dev/tty"),
    ReadonlyPaths: readonlyPaths,
    OomScoreAdj: 500,
    Ulimits: rlimits.map(([type, value]) => ({
      Name: type.replace("RLIMIT_", "").toLowerCase(),
      Soft: value,
      Hard: value,
    })),
    // What is printed goes to whoever is attached, held back by him, and is kept nowhere.
    LogConfig: { Type: "none" },
    RestartPolicy: { Name: "no" },
    AutoRemove: false,
    Init: false,
  };
}

/** In the place of the engine's own: no pseudo-terminals, no message queues. */
export const emptyFolders = {
  "/dev/pts": "ro,nosuid,nodev,noexec,mode=755,size=4096",
  "/dev/mqueue": "ro,nosuid,nodev,noexec,mode=755,size=4096",
};

export interface ContainerPlan {
  readonly spec: SandboxSpec;
  readonly at: SandboxPlaces;
  readonly installation: string;
  /** Id of the image. */
  readonly image: string;
  /** Name of the engine's runtime. */
  readonly runtime: string;
  readonly profile: RuntimeProfile;
  /** First id of the sandbox's host range. The engine gives no user namespace, so inside it has its host id. */
  readonly hostId: number;
  readonly codeFolder: string | null;
  /** Name of the volume in which a relay holds the door; null: it is a socket of the host. */
  readonly doorVolume: string | null;
}

export function containerOf(plan: ContainerPlan) {
  const { spec, at, installation, image, runtime, profile, hostId, codeFolder, doorVolume } = plan;
  const { memoryBytes, cpus, pids } = spec.limits;
  const user = hostId + SANDBOX_UID;
  const bind = (Source: string, Target: string, ReadOnly: boolean): object => ({
    Type: "bind",
    Source,
    Target,
    ReadOnly,
    BindOptions: { Propagation: "rprivate" },
  });
  return {
    Image: image,
    Hostname: "sandbox",
    User: `${user}:${user}`,
    Entrypoint: spec.command.slice(0, 1),
    Cmd: spec.command.slice(1),
    // A name without a value takes away what the engine would add.
    Env: ["HOSTNAME", ...Object.entries({ ...spec.environment, ...fixedEnvironment }).map(([n, v]) => `${n}=${v}`)],
    WorkingDir: sandboxPaths.data,
    AttachStdin: false,
    OpenStdin: false,
    Tty: false,
    NetworkDisabled: true,
    Healthcheck: { Test: ["NONE"] },
    Labels: { [LABEL_INSTALLATION]: installation, [LABEL_SANDBOX]: spec.id },
    HostConfig: {
      ...fenceOf(profile),
      Runtime: runtime,
      NetworkMode: "none",
      // The engine writes the host's resolvers into every container, network or not.
      Dns: ["127.0.0.1"],
      DnsSearch: ["."],
      Mounts: [
        bind(at.data, sandboxPaths.data, false),
        doorVolume === null ? bind(at.door, sandboxPaths.door, true) : doorFolder(doorVolume, true),
        ...(codeFolder === null ? [] : [bind(codeFolder, sandboxPaths.code, true)]),
      ],
      Tmpfs: {
        "/tmp": `rw,nosuid,nodev,noexec,mode=1777,size=${limits.sandbox.tmpBytesMax},nr_inodes=${limits.sandbox.tmpFilesMax}`,
        ...emptyFolders,
        ...(profile.process === "agent" ? {} : { "/sys": "ro,nosuid,nodev,noexec,mode=555,size=4096" }),
      },
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      PidsLimit: pids + profile.threadsOfKernel,
      CpuPeriod: CPU_PERIOD_US,
      CpuQuota: Math.max(CPU_PERIOD_US, cpuQuotaUs(cpus)),
      CpuShares: Math.max(2, Math.round(cpus * 1024)),
    },
  };
}

/** Where sandbox and relay meet: the volume's folder, for a relay that comes later brings a socket of its own. */
export const doorFolder = (volume: string, readOnly: boolean): object => ({
  Type: "volume",
  Source: volume,
  Target: dirname(sandboxPaths.door),
  ReadOnly: readOnly,
  VolumeOptions: { NoCopy: true },
});
