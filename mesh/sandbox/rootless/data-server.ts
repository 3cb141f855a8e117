/**
 * /data where no loop device can be had: fuse2fs serves the same sized image, so that its quota is the image's end. One process a
 * sandbox, in a control group of its own that bounds what an agent can make it use. It ends when /data is unmounted.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { limits } from "../../../protocol/limits.ts";
import type { Clock } from "../../../lib/clock.ts";
import { SandboxError } from "../backend.ts";
import { CPU_PERIOD_US, cpuQuotaUs } from "../bundle.ts";
import { Cgroup, type Cgroups } from "../cgroup.ts";
import { startTimeOf } from "../proc.ts";
import { runReaped } from "../reaper.ts";
import { CONTROLLERS_OF_TWO } from "./given-group.ts";
import { intoGroups } from "./into-groups.ts";

/** A process of the mesh's own on which a sandbox depends. */
export interface Companion {
  readonly pid: number;
  readonly startTime: string;
}

export interface Serving {
  readonly cgroups: Cgroups;
  /** Path of the server's own group. */
  readonly group: string;
  /** The sandbox's share of a core, which its server may use as much again of. */
  readonly cpus: number;
  /** Where the server's complaints go. */
  readonly log: string;
  readonly clock: Clock;
}

const CONTROLLERS = ["memory", "cpu", "cpuacct", "pids"];
/**
 * Permissions are the kernel's to check, by the ids that the image holds; what the server itself may do is root's. The default
 * options are left out for one of them, the image's path as the name of the device.
 */
const OPTIONS =
  "no_default_opts,kernel_cache,subtype=ext4,attr_timeout=0,fakeroot,allow_other,default_permissions,nosuid,nodev,noatime";
/** What the mount is told to come from: the agent sees it, and the path of the image is none of its business. */
export const sourceOf = (image: string): string =>
  `cordon-${createHash("sha256").update(image).digest("hex").slice(0, 32)}`;
/** e2fsck(8): all that was wrong is mended. */
const MENDED = 1;

/** Mounts the image at `point`; resolves with the process that serves it. Throws SandboxError when the kernel does not bound it. */
export async function serveImage(image: string, point: string, serving: Serving): Promise<Companion> {
  const { cgroups, group, log, clock } = serving;
  const { dataServerMemoryBytes, dataServerTasksMax, startTimeoutMs } = limits.sandbox;
  await makeGroup(serving);
  const folders = [...new Set(CONTROLLERS.map((name) => cgroups.folder(name, group)))];
  const serve = ["fuse2fs", image, point, "-s", "-o", `${OPTIONS},fsname=${sourceOf(image)}`];
  const words = [...(await fenceOf(image, "+sys_admin")), ...serve];
  const [program, ...rest] = intoGroups(folders, words);
  await writeFile(log, "", { mode: 0o600 });
  const code = await runReaped(program, rest, { output: log, clock, timeoutMs: startTimeoutMs });
  const own = new Cgroup(cgroups, group);
  await own.limitCpu(cpuQuotaUs(serving.cpus));
  const [pid, ...more] = await own.processes("memory");
  const startTime = pid === undefined ? null : startTimeOf(pid);
  if (code !== 0 || pid === undefined || more.length > 0 || startTime === null) {
    throw new SandboxError(`\`fuse2fs\` could not serve /data: exit code ${code}`, "see `cordon doctor`");
  }
  const fault = (await own.faultOf(pid, dataServerMemoryBytes, dataServerTasksMax)) ?? (await faultOf(pid));
  if (fault !== null) throw new SandboxError(`the server of /data is not fenced: ${fault}`, "see `cordon doctor`");
  return { pid, startTime };
}

/** The right to mount, which it does itself: mounting cannot be done for it by whoever starts it. */
const SYS_ADMIN = 1n << 21n;
const OWN_NAMESPACES = ["net", "ipc", "uts"] as const;
const OPEN_FILES_MAX = 64;

/**
 * What reads and writes what an agent has made has no network, no right but to mount, can gain none, and leaves no memory on the
 * disk; no file of its grows past the image. The server's mounts are the mesh's, for there its own must be seen, and its process
 * ids too, for it goes into the background and the first process of a namespace would end it then.
 */
async function fenceOf(image: string, ...rights: readonly "+sys_admin"[]): Promise<readonly string[]> {
  const { size } = await stat(image);
  return [
    ...["unshare", ...OWN_NAMESPACES.map((name) => `--${name}`), "--"],
    ...["prlimit", "--core=0:0", `--nofile=${OPEN_FILES_MAX}:${OPEN_FILES_MAX}`, `--fsize=${size}:${size}`, "--"],
    ...["setpriv", "--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"],
    ...[`--bounding-set=${["-all", ...rights].join(",")}`, "--"],
  ];
}

/** As the kernel shows it; null: all of it stands. */
async function faultOf(pid: number): Promise<string | null> {
  const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
  const lines = status.split("\n").map((line) => line.split(":\t"));
  const value = (name: string): string => lines.find(([known]) => known === name)?.[1] ?? "";
  if (value("NoNewPrivs") !== "1") return "new privileges can be gained";
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    if (!/^[0-9a-f]+$/.test(value(set)) || (BigInt(`0x${value(set)}`) & ~SYS_ADMIN) !== 0n)
      return `too much is left in ${set}`;
  }
  for (const name of OWN_NAMESPACES) {
    const [ours, its] = await Promise.all(
      ["self", pid].map((of) => readlink(`/proc/${of}/ns/${name}`).catch(() => "")),
    );
    if (its === "" || its === ours) return `the ${name} namespace is the mesh's`;
  }
  return null;
}

async function makeGroup({ cgroups, group, cpus }: Serving): Promise<void> {
  const memory = String(limits.sandbox.dataServerMemoryBytes);
  const two = cgroups.version === 2;
  if (two) await handOn(cgroups.folder("memory", dirname(group)));
  for (const name of CONTROLLERS) await mkdir(cgroups.folder(name, group), { recursive: true, mode: 0o755 });
  const write = (controller: string, file: string, text: string): Promise<void> =>
    writeFile(join(cgroups.folder(controller, group), file), text);
  await write("memory", two ? "memory.max" : "memory.limit_in_bytes", memory);
  // Version 1 counts memory and swap together, version 2 swap alone.
  await write("memory", two ? "memory.swap.max" : "memory.memsw.limit_in_bytes", two ? "0" : memory);
  await write("pids", "pids.max", String(limits.sandbox.dataServerTasksMax));
  // As its sandbox: a whole core until it serves.
  await new Cgroup(cgroups, group).limitCpu(Math.max(CPU_PERIOD_US, cpuQuotaUs(cpus)));
}

/** On version 2 a group has the files of those controllers that the one above it hands on. */
async function handOn(parent: string): Promise<void> {
  await mkdir(parent, { recursive: true, mode: 0o755 });
  await writeFile(join(parent, "cgroup.subtree_control"), CONTROLLERS_OF_TWO.map((name) => `+${name}`).join(" "));
}

/** After a server that was killed the image may hold half a change. An image that cannot be mended is refused. */
export async function mendImage(volume: string, image: string, clock: Clock): Promise<void> {
  const bounds = { output: "/dev/null", clock, timeoutMs: limits.sandbox.startTimeoutMs };
  const [program = "", ...fence] = await fenceOf(image);
  const check = (how: string): Promise<number> => runReaped(program, [...fence, "e2fsck", how, image], bounds);
  for (const how of ["-p", "-fy"]) {
    const code = await check(how);
    // What starts it may fail with the same code as it has for an image that it has mended: that is asked of the image itself.
    if (code === 0 || (code === MENDED && (await check("-n")) === 0)) return;
  }
  throw new SandboxError(
    `volume \`${volume}\` is damaged, and e2fsck cannot mend it`,
    `look at \`${image}\`, or erase the volume`,
  );
}
