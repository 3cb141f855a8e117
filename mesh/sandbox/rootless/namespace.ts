/**
 * The user namespace in which an ordinary user's mesh runs (enter.pl): root inside is that user outside, and the ids of the
 * sandboxes are his own of /etc/subuid. Everything is read from the kernel; what it means is the same as in enter.pl.
 */
import { existsSync, readFileSync } from "node:fs";
import { limits } from "../../../protocol/limits.ts";
import { delegatedOf, operatorsGroupOf, ownGroupOfTwo } from "./given-group.ts";

export interface UserNamespace {
  /** The ordinary user, as the machine knows him. */
  readonly userId: number;
  readonly user: string;
  /** First id of the first sandbox, and how many sandboxes have room. */
  readonly hostIdFirst: number;
  readonly idRangesMax: number;
  /** The group of each hierarchy that holds the user's sandboxes, as a path below its mount. */
  readonly cgroup: string;
  /** A file system of the namespace's own, which ends with it. */
  readonly runDir: string;
  /** Whether enter.pl has made it: mounts and processes are its own then. */
  readonly entered: boolean;
}

export const ROOTLESS_RUN_DIR = "/dev/shm/cordon";
/** Of all ids, in the namespace that a machine starts with. */
const ALL_IDS = 2 ** 32 - 1;

let known: UserNamespace | null | undefined;

/** Null when this process is in the namespace that the machine started with. */
export function userNamespace(): UserNamespace | null {
  if (process.platform !== "linux") return null;
  known ??= namespaceOf(
    readFileSync("/proc/self/uid_map", "latin1"),
    readFileSync("/proc/self/gid_map", "latin1"),
    existsSync(ROOTLESS_RUN_DIR) && readFileSync("/proc/1/cmdline", "latin1").includes("/rootless/enter.pl\0"),
    ownGroupOfTwo(),
  );
  return known;
}

/** `uids`, `gids`: user_namespaces(7), lines of the first id inside, the first outside and their number. `own`: see `delegatedOf`. */
export function namespaceOf(
  uids: string,
  gids: string,
  entered: boolean,
  own: string | null = null,
): UserNamespace | null {
  const [users, groups] = [parse(uids), parse(gids)];
  if (users.some(([inside, outside, count]) => inside === 0 && outside === 0 && count >= ALL_IDS)) return null;
  const { hostIdsPerSandbox: size } = limits.sandbox;
  const ids = Math.min(idsFromOne(users), idsFromOne(groups));
  const userId = users.find(([inside]) => inside === 0)?.[1] ?? ALL_IDS;
  return {
    userId,
    user: nameOf(userId),
    hostIdFirst: size,
    idRangesMax: Math.max(0, Math.floor((ids + 1) / size) - 1),
    // Where there is none, this one is looked for and named as missing.
    cgroup: delegatedOf(own, userId)?.path ?? operatorsGroupOf(userId),
    runDir: ROOTLESS_RUN_DIR,
    entered,
  };
}

/** For people: where their sandboxes are. */
export const aboutNamespace = ({ user, idRangesMax }: UserNamespace): string =>
  `rootless: user namespace of ${user}, ${idRangesMax} sandboxes at a time, /data by fuse2fs`;

const parse = (map: string): readonly (readonly [number, number, number])[] =>
  map
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([inside = 0, outside = 0, count = 0]) => [inside, outside, count] as const);

const idsFromOne = (map: ReturnType<typeof parse>): number => map.find(([inside]) => inside === 1)?.[2] ?? 0;

export function nameOf(userId: number): string {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.split(":")[2] === String(userId));
  return line?.split(":", 1)[0] ?? String(userId);
}
