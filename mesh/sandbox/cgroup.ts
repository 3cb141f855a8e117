/**
 * Control groups of sandboxes, version 1 (one hierarchy a controller) and version 2 (one for all).
 * Files as documented in the kernel's admin-guide/cgroup-v1 and cgroup-v2.rst. The runtime makes the
 * groups; this reads counters, lowers the start burst, ends what is inside and removes them.
 */
import { readFileSync } from "node:fs";
import { readdir, readFile, rmdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CPU_PERIOD_US } from "./bundle.ts";
import { readMounts } from "./mounts.ts";
import { cgroupPathOf } from "./proc.ts";
import { CGROUP2_MAGIC, CONTROLLERS_OF_TWO as REQUIRED } from "./rootless/given-group.ts";
import { userNamespace } from "./rootless/namespace.ts";

export interface CgroupUsage {
  readonly memoryBytes: number;
  readonly pids: number;
  readonly cpuUs: number;
}

export interface Cgroups {
  readonly version: 1 | 2;
  /** Controllers that a sandbox needs and this machine does not offer. */
  readonly missing: readonly string[];
  /** Controllers of a hierarchy of version 2 that is mounted beside those of version 1; the other set-ups have none. */
  readonly mixed: readonly string[];
  /** Every folder that belongs to `path`, one per hierarchy, whether it exists or not. */
  folders(path: string): readonly string[];
  /** The folder of `path` in the hierarchy of one controller. */
  folder(controller: string, path: string): string;
}

/** Null when no cgroup file system is mounted at all. */
export async function readCgroups(): Promise<Cgroups | null> {
  const base = "/sys/fs/cgroup";
  const kind = await statfs(base).catch(() => null);
  if (kind === null) return null;
  if (kind.type === CGROUP2_MAGIC) {
    const offered = (await readFile(join(base, "cgroup.controllers"), "utf8").catch(() => "")).split(/\s+/);
    return {
      version: 2,
      missing: REQUIRED.filter((name) => !offered.includes(name)),
      mixed: [],
      folders: (path) => [join(base, path)],
      folder: (_, path) => join(base, path),
    };
  }
  const mounts = (await readMounts()).filter((m) => m.type === "cgroup" || m.type === "cgroup2");
  if (mounts.length === 0) return null;
  const pointOf = (name: string): string | undefined =>
    mounts.find((m) => m.type === "cgroup" && m.root === "/" && m.superOptions.includes(name))?.point;
  const second = mounts.find((m) => m.type === "cgroup2");
  const beside = second ? await readFile(join(second.point, "cgroup.controllers"), "utf8").catch(() => "") : "";
  return {
    version: 1,
    mixed: beside.split(/\s+/).filter(Boolean),
    // In a user namespace nobody can make a device, and none but those of /dev opens.
    missing: [...REQUIRED, "cpuacct", ...(userNamespace() ? [] : ["devices"])].filter((name) => !pointOf(name)),
    folders: (path) => [...new Set(mounts.map((m) => join(m.point, path)))],
    folder: (controller, path) => join(pointOf(controller) ?? "/sys/fs/cgroup/absent", path),
  };
}

/** The list of processes of the group that the mesh itself is in. */
export const ownProcessList = async (groups: Cgroups): Promise<string> =>
  join(groups.folder("memory", (await cgroupPathOf(process.pid)) ?? "/"), "cgroup.procs");

export class Cgroup {
  readonly #groups: Cgroups;
  readonly #path: string;
  readonly #v2: boolean;

  constructor(groups: Cgroups, path: string) {
    this.#groups = groups;
    this.#path = path;
    this.#v2 = groups.version === 2;
  }

  #file(controller: string, v1: string, v2: string): string {
    return join(this.#groups.folder(controller, this.#path), this.#v2 ? v2 : v1);
  }

  /** Sets the share of CPU time: `quotaUs` of every period. */
  async limitCpu(quotaUs: number): Promise<void> {
    const value = this.#v2 ? `${quotaUs} ${CPU_PERIOD_US}` : String(quotaUs);
    await writeFile(this.#file("cpu", "cpu.cfs_quota_us", "cpu.max"), value);
  }

  /**
   * Sets what it gets of a core that others want, too: 2 to 262144 (version 1), of which 1024 are what a group has that nobody has
   * told otherwise. Version 2 counts 1 to 10000, of which that is 100.
   */
  async shareCpu(shares: number): Promise<void> {
    const value = this.#v2 ? Math.min(10_000, Math.max(1, Math.round((shares * 100) / 1024))) : shares;
    await writeFile(this.#file("cpu", "cpu.shares", "cpu.weight"), String(value));
  }

  /** Processes that the kernel killed for want of memory, ever. Synchronous: read by the watch for every sandbox. */
  oomKills(): number {
    return counter(this.#file("memory", "memory.oom_control", "memory.events"), "oom_kill");
  }

  /** Forks that failed at the pids limit, ever. */
  pidsRefused(): number {
    return counter(this.#file("pids", "pids.events", "pids.events"), "max");
  }

  /** Periods of processor time there were, and those that were cut short. */
  throttling(): { readonly periods: number; readonly throttled: number } {
    const text = textOf(this.#file("cpu", "cpu.stat", "cpu.stat"));
    return { periods: field(text, "nr_periods"), throttled: field(text, "nr_throttled") };
  }

  /** Memory without the page cache that can be dropped at once. */
  async usage(): Promise<CgroupUsage> {
    const read = (controller: string, v1: string, v2: string): Promise<string> =>
      readFile(this.#file(controller, v1, v2), "utf8");
    const [memory, stat, pids, cpu] = await Promise.all([
      read("memory", "memory.usage_in_bytes", "memory.current"),
      read("memory", "memory.stat", "memory.stat"),
      read("pids", "pids.current", "pids.current"),
      read("cpuacct", "cpuacct.usage", "cpu.stat"),
    ]);
    return {
      memoryBytes: Math.max(0, Number(memory) - field(stat, this.#v2 ? "inactive_file" : "total_inactive_file")),
      pids: Number(pids),
      cpuUs: this.#v2 ? field(cpu, "usage_usec") : Math.round(Number(cpu) / 1000),
    };
  }

  /** What the kernel does not hold `pid` to, or null: that it is in the group, and that the group has these limits. */
  async faultOf(pid: number, memoryBytes: number, pids: number): Promise<string | null> {
    if (!(await this.processes("memory")).includes(pid)) return "the memory cgroup is not its own";
    if (!(await this.processes("pids")).includes(pid)) return "the pids cgroup is not its own";
    if (!(await this.processes("cpu")).includes(pid)) return "the cpu cgroup is not its own";
    const read = async (controller: string, v1: string, v2: string): Promise<number> =>
      Number((await readFile(this.#file(controller, v1, v2), "utf8").catch(() => "")) || Number.NaN);
    // The kernel rounds to pages. Version 1 counts memory and swap together, version 2 swap alone.
    const memory = await read("memory", "memory.limit_in_bytes", "memory.max");
    if (!(memory > 0 && memory <= memoryBytes)) return "its memory is not limited";
    const swap = await read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
    if (!(swap <= (this.#v2 ? 0 : memoryBytes))) return "its swap is not limited";
    if (!((await read("pids", "pids.max", "pids.max")) <= pids)) return "its processes are not limited";
    // Version 2 writes the quota and its period in one line, or `max` and its period.
    const quota = await readFile(this.#file("cpu", "cpu.cfs_quota_us", "cpu.max"), "utf8").catch(() => "");
    if (!(Number.parseInt(quota, 10) > 0)) return "its processor time is not limited";
    return null;
  }

  async processes(controller?: string): Promise<readonly number[]> {
    const folders =
      controller === undefined ? this.#groups.folders(this.#path) : [this.#groups.folder(controller, this.#path)];
    const lists = await Promise.all(
      folders.map((folder) => readFile(join(folder, "cgroup.procs"), "utf8").catch(() => "")),
    );
    return [...new Set(lists.join("\n").split("\n").filter(Boolean).map(Number))].filter((pid) => pid > 1);
  }

  /** Folders that still stand. */
  async standing(): Promise<readonly string[]> {
    const folders = this.#groups.folders(this.#path);
    const found = await Promise.all(
      folders.map((f) =>
        readdir(f).then(
          () => true,
          () => false,
        ),
      ),
    );
    return folders.filter((_, i) => found[i]);
  }

  /** Removes the empty groups; a group that is not empty stays and shows in `standing`. */
  async remove(): Promise<void> {
    await Promise.all(this.#groups.folders(this.#path).map((folder) => rmdir(folder).catch(() => undefined)));
  }
}

const counter = (file: string, name: string): number => field(textOf(file), name);

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

const field = (text: string, name: string): number =>
  Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.split(" ")[1] ?? 0,
  );
