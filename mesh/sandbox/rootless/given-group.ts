/**
 * The control group that holds an ordinary user's sandboxes. On version 1 an operator gives him one a hierarchy. On version 2
 * (cgroup-v2.rst, "Delegation") it is one of which this process is a member already, for nobody but root moves a process into it
 * from elsewhere: the operator's again, or a scope that systemd's manager of this user has made for this mesh alone.
 * The same as in enter.pl.
 */
import { readFileSync, statfsSync } from "node:fs";

export const CGROUP2_MAGIC = 0x6367_7270;
/** What a group of version 2 must have and hand on. */
export const CONTROLLERS_OF_TWO = ["memory", "cpu", "pids"] as const;

/** As enter.pl names it, by a process and the time. */
const SCOPE = /^cordon-mesh-\d{1,10}-\d{1,12}\.scope$/;

/** Of the operator: a path below the mount of a hierarchy. */
export const operatorsGroupOf = (userId: number): string => `/cordon-user-${userId}`;

export interface Delegated {
  /** Path below the one hierarchy's mount. */
  readonly path: string;
  readonly by: "operator" | "systemd";
}

/** `own`: the group of a process, of `/proc/PID/cgroup`. Null: it is in none that may be used. */
export function delegatedOf(own: string | null, userId: number): Delegated | null {
  // A group with limited members may have no process of its own, so those of the mesh are in a leaf beside them.
  const path = own?.endsWith("/mesh") ? own.slice(0, -"/mesh".length) : own;
  if (path === null || path === undefined) return null;
  if (path === operatorsGroupOf(userId)) return { path, by: "operator" };
  // Of its other groups the manager is the only writer, whoever owns the files (systemd, CGROUP_DELEGATION).
  const names = path.split("/");
  const made = names.includes(`user@${userId}.service`) && SCOPE.test(names.at(-1) ?? "");
  return made ? { path, by: "systemd" } : null;
}

/** The group of this process in the one hierarchy of version 2; null on version 1, and where version 2 stands beside it. */
export function ownGroupOfTwo(): string | null {
  try {
    if (statfsSync("/sys/fs/cgroup").type !== CGROUP2_MAGIC) return null;
    return /^0::(\/.*)$/m.exec(readFileSync("/proc/self/cgroup", "latin1"))?.[1] ?? null;
  } catch {
    return null;
  }
}
