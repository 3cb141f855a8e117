/** What the host's /proc says of a process. A pid alone is no identity: the kernel gives it to others later. */
import { readFileSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import type { RuntimeProfile } from "./runtime-profile.ts";

/** Start time in clock ticks since boot, field 22 of proc_pid_stat(5); null when dead or a zombie. */
export function startTimeOf(pid: number): string | null {
  try {
    // The name (field 2) may hold spaces and parentheses, so count from its end.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

export function signalProcess(pid: number, startTime: string, signal: NodeJS.Signals): void {
  if (startTimeOf(pid) !== startTime) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in between.
  }
}

/** The group that `pid` is in, as cgroups(7) tells it: of the memory controller, or of the one hierarchy of version 2. */
export async function cgroupPathOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/cgroup`, "latin1").catch(() => "");
  const lines = text.split("\n").map((line) => line.split(":"));
  const found = lines.find(([, list]) => list?.split(",").includes("memory")) ?? lines.find(([id]) => id === "0");
  const path = found?.slice(2).join(":") ?? "";
  // A group at the root is nobody's own: what is measured and limited there is the host.
  return path.startsWith("/") && path !== "/" && !path.includes("..") ? path : null;
}

/**
 * The last wall of fail closed: whatever the runtime said, the kernel must confirm that the process has
 * the filter, no new privileges, its user, namespaces of its own and what else the profile names. Throws SandboxError.
 * A process that has ended already is accepted: there is nothing left to fence.
 */
export async function confirmFence(
  pid: number,
  startTime: string,
  hostUid: number,
  { confirmed }: RuntimeProfile,
  clock: Clock,
): Promise<void> {
  const deadline = clock.monotonicMs() + limits.sandbox.confirmTimeoutMs;
  for (;;) {
    // The runtime answers a moment before its last steps, the filter and the exec. Read before the state,
    // so that a name that has changed means that the state is final.
    const name = await readFile(`/proc/${pid}/comm`, "latin1").catch(() => "");
    const fault = await faultOf(pid, hostUid, confirmed);
    if (fault === null || startTimeOf(pid) !== startTime) return;
    if (!(confirmed.settling?.test(name) ?? true) || clock.monotonicMs() > deadline) {
      throw new SandboxError(`the fence is not complete: ${fault}`, "update the OCI runtime; see `cordon doctor`");
    }
    await clock.sleep(2);
  }
}

async function faultOf(pid: number, hostUid: number, expected: RuntimeProfile["confirmed"]): Promise<string | null> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "latin1");
    const lines = new Map(
      status.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).trim()]),
    );
    const value = (name: string): string => lines.get(name) ?? "";
    if (value("Seccomp") !== "2") return "no system-call filter";
    if (value("NoNewPrivs") !== "1") return "new privileges can be gained";
    for (const [line, what] of [
      ["Uid", "user"],
      ["Gid", "group"],
    ] as const) {
      const ids = value(line).split("\t").map(Number);
      const right = expected.user === "mapped" ? (id: number) => id === hostUid : (id: number) => id > 0;
      if (ids.length !== 4 || !ids.every(right)) return `the ${what} is not the ${expected.user} one`;
    }
    for (const set of expected.noCapabilities ? ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] : []) {
      if (!/^0+$/.test(value(set))) return `capabilities are left in ${set}`;
    }
    for (const name of expected.namespaces) {
      const [ours, theirs] = await Promise.all([
        readlink(`/proc/self/ns/${name}`),
        readlink(`/proc/${pid}/ns/${name}`),
      ]);
      if (ours === theirs) return `the ${name} namespace is the host's`;
    }
    return null;
  } catch {
    return "its state cannot be read";
  }
}
