/**
 * What one OCI runtime does otherwise than another, as data: the backend's code is the same for all of them.
 * The contract suite reads the same data, so that a difference is a statement and never a skipped test.
 */
import type { Isolation } from "./backend.ts";

export interface RuntimeProfile {
  readonly isolation: Exclude<Isolation, "microvm">;
  /** Programs that give this isolation, the preferred one first, and the Debian package of the first. */
  readonly programs: readonly string[];
  readonly package: string;
  /** Folder of the runtime's own state, beside the sandboxes. */
  readonly stateFolder: string;
  /**
   * Whose process the runtime's pid file names: the agent's own, or that of a kernel in user space which runs the
   * agent (then signals to the agent go through the runtime, and its command line and limits are that kernel's).
   */
  readonly process: "agent" | "application kernel";
  /** Options of the read-only mount under the sandbox's root. */
  readonly rootfsOptions: readonly ("ro" | "nosuid" | "nodev")[];
  /** Whether the filter of a sandbox refuses clone3 with ENOSYS, on which C libraries fall back to clone. */
  readonly clone3: "refused" | "left to the application kernel";
  /** Host threads that the application kernel needs besides the agent's own. */
  readonly threadsOfKernel: number;
  /** How often the end of the cgroup is tried first: the runtime itself may take a second for what that does at once. */
  readonly deletesAtAttempt: number;
  /** What the kernel must show of the process before the sandbox counts as fenced. */
  readonly confirmed: {
    readonly user: "mapped" | "unprivileged";
    readonly noCapabilities: boolean;
    readonly namespaces: readonly string[];
    /** Names that the process has while the runtime is still at its last steps; null: any. */
    readonly settling: RegExp | null;
  };
}

/** runc and crun: the agent is a process of the host's kernel. */
const container: RuntimeProfile = {
  isolation: "container",
  programs: ["runc", "crun"],
  package: "runc",
  stateFolder: "runtime",
  process: "agent",
  rootfsOptions: ["ro", "nosuid", "nodev"],
  clone3: "refused",
  threadsOfKernel: 0,
  deletesAtAttempt: 0,
  confirmed: {
    user: "mapped",
    noCapabilities: true,
    namespaces: ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user"],
    settling: /^(runc:\[|crun)/,
  },
};

/**
 * gVisor: the agent's system calls are answered by a kernel in user space, which is itself fenced: a user namespace
 * with one unprivileged id, a filter of its own, network and mounts of its own. It keeps capabilities inside that user
 * namespace, and is a process of the host's pid namespace; the agent sees neither.
 */
const gvisor: RuntimeProfile = {
  isolation: "gvisor",
  programs: ["runsc"],
  package: "runsc",
  stateFolder: "runtime-gvisor",
  process: "application kernel",
  // Its file server mounts the root again inside a user namespace, where locked flags cannot be named anew.
  rootfsOptions: ["ro"],
  // Releases of 2022 ignore `errnoRet` and answer EPERM, on which no C library falls back.
  clone3: "left to the application kernel",
  threadsOfKernel: 64,
  deletesAtAttempt: 6,
  confirmed: { user: "unprivileged", noCapabilities: false, namespaces: ["net", "ipc", "mnt", "user"], settling: null },
};

export const runtimeProfiles = { container, gvisor } as const;
