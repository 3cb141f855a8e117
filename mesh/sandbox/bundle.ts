/** The fence as an OCI runtime configuration (runtime-spec 1.0.2), a pure function of the specification. */
import { sandboxPaths } from "../../protocol/sandbox-paths.ts";
import { limits } from "../../protocol/limits.ts";
import { assert } from "../../lib/assert.ts";
import type { SandboxSpec } from "./backend.ts";
import type { SandboxPlaces } from "./places.ts";
import type { RuntimeProfile } from "./runtime-profile.ts";
import { seccompFor } from "./seccomp.ts";

export const SANDBOX_UID = 1000;
export const CPU_PERIOD_US = 100_000;

export const cpuQuotaUs = (cpus: number): number => Math.max(1_000, Math.round(cpus * CPU_PERIOD_US));

/** Among others, as version 1 counts it: 1024 for a core. */
export const cpuShares = (cpus: number): number => Math.max(2, Math.round(cpus * 1024));
/** Of its share among others, while it starts: who runs already goes first. */
const STARTING_SHARE = 0.25;

export const maskedPaths = [
  "acpi asound bus cmdline config.gz diskstats driver interrupts iomem ioports kallsyms kcore key-users keys kmsg",
  "kpagecgroup kpagecount kpageflags latency_stats mdstat modules partitions sched_debug schedstat scsi slabinfo",
  "softirqs swaps sysrq-trigger timer_list timer_stats vmallocinfo zoneinfo",
]
  .flatMap((line) => line.split(" "))
  .map((name) => `/proc/${name}`)
  // The runtime binds the caller's terminal device whether it is wanted or not.
  .concat("/dev/tty", "/sys");

export const readonlyPaths = ["/proc/fs", "/proc/irq", "/proc/sys", "/proc/tty"];

export const rlimits: readonly (readonly [string, number])[] = [
  ["RLIMIT_NOFILE", limits.sandbox.openFilesMax],
  ["RLIMIT_CORE", 0],
  ["RLIMIT_MEMLOCK", 0],
  ["RLIMIT_MSGQUEUE", 0],
  ["RLIMIT_RTPRIO", 0],
  ["RLIMIT_NICE", 0],
];

/** Names that the fence sets itself; a specification may not. */
export const fixedEnvironment = { PATH: "/bin", HOME: "/data", TMPDIR: "/tmp" } as const;

/**
 * `hostId` is the first of the sandbox's host UIDs and GIDs; `codeFolder` is a resolved path. `seesDenials`: somebody waits at
 * `at.denials` to be told of refused calls.
 */
export function bundleOf(
  spec: SandboxSpec,
  at: SandboxPlaces,
  hostId: number,
  codeFolder: string | null,
  profile: RuntimeProfile,
  seesDenials = false,
): object {
  const seccomp = seccompFor(process.arch, profile.clone3, seesDenials ? at.denials : undefined);
  assert(seccomp, "the start of a sandbox was refused on an architecture without a system-call list");
  const mapping = [{ containerID: 0, hostID: hostId, size: limits.sandbox.hostIdsPerSandbox }];
  const none: string[] = [];
  return {
    ociVersion: "1.0.2",
    hostname: "sandbox",
    root: { path: at.rootfs, readonly: true },
    process: {
      terminal: false,
      user: { uid: SANDBOX_UID, gid: SANDBOX_UID, umask: 0o077, additionalGids: [] },
      args: spec.command,
      env: Object.entries({ ...spec.environment, ...fixedEnvironment }).map(([name, value]) => `${name}=${value}`),
      cwd: "/data",
      capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
      noNewPrivileges: true,
      oomScoreAdj: 500,
      rlimits: rlimits.map(([type, value]) => ({ type, hard: value, soft: value })),
    },
    mounts: mountsOf(at, codeFolder, profile),
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup", "user"].map((type) => ({ type })),
      uidMappings: mapping,
      gidMappings: mapping,
      cgroupsPath: at.cgroup,
      resources: resourcesOf(spec, profile),
      seccomp,
      maskedPaths,
      readonlyPaths,
    },
  };
}

function mountsOf(at: SandboxPlaces, codeFolder: string | null, profile: RuntimeProfile): readonly object[] {
  const { tmpBytesMax, tmpFilesMax } = limits.sandbox;
  const bind = (source: string, destination: string, ...options: string[]): object => ({
    type: "bind",
    source,
    destination,
    options: ["bind", "nosuid", "nodev", ...options],
  });
  const tmpfs = (destination: string, ...options: string[]): object => ({
    type: "tmpfs",
    source: "tmpfs",
    destination,
    options: ["nosuid", "noexec", ...options],
  });
  return [
    { type: "proc", source: "proc", destination: "/proc", options: ["nosuid", "nodev", "noexec"] },
    tmpfs("/dev", "mode=755", "size=65536", "nr_inodes=64", "ro"),
    tmpfs("/tmp", "nodev", "mode=1777", `size=${tmpBytesMax}`, `nr_inodes=${tmpFilesMax}`),
    // An application kernel shows a /sys of its own, which masking does not cover.
    ...(profile.process === "agent" ? [] : [tmpfs("/sys", "nodev", "mode=555", "size=4096", "ro")]),
    bind(at.data, sandboxPaths.data, "rw"),
    bind(at.door, sandboxPaths.door, "ro", "noexec"),
    ...(codeFolder === null ? [] : [bind(codeFolder, sandboxPaths.code, "ro")]),
  ];
}

/**
 * A whole core at first: the start of an interpreter at 0.15 of one takes seven times as long. But of a core that others want,
 * too, less than it has later.
 */
function resourcesOf(
  { limits: { memoryBytes, cpus, pids } }: SandboxSpec,
  { threadsOfKernel }: RuntimeProfile,
): object {
  return {
    devices: [{ allow: false, access: "rwm" }],
    memory: { limit: memoryBytes, swap: memoryBytes },
    cpu: {
      period: CPU_PERIOD_US,
      quota: Math.max(CPU_PERIOD_US, cpuQuotaUs(cpus)),
      shares: cpuShares(cpus * STARTING_SHARE),
    },
    pids: { limit: pids + threadsOfKernel },
  };
}
