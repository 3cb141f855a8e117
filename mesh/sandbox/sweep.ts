/** Clears what an earlier mesh of this installation left, whatever moment it was killed at. */
import { readdir, readFile, readlink, rm, rmdir, stat } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import { limits } from "../../protocol/limits.ts";
import { Cgroup } from "./cgroup.ts";
import { dismantle, type Host } from "./dismantle.ts";
import { claimsOf, removeDrafts } from "./id-range.ts";
import { loopDevices } from "./mounts.ts";
import { DATA_GROUP_END, isSandboxId, runtimeFolders } from "./places.ts";
import { runProgram } from "./process.ts";

/** Host programs of a start that can outlive the mesh that began it. */
const HELPERS = new Set([
  "runc",
  "crun",
  "runsc",
  "mount",
  "umount",
  "mkfs.ext4",
  "mke2fs",
  "mkfifo",
  "chown",
  "resize2fs",
  "e2fsck",
]);

/** Ids that were found and removed. `live` are this process's own sandboxes, which stay. */
export async function sweep(host: Host, live: ReadonlySet<string>): Promise<readonly string[]> {
  await endHelpers(host);
  const found = await foundIds(host);
  const gone: string[] = [];
  for (const id of found) {
    if (live.has(id)) continue;
    await dismantle(host, id, null);
    gone.push(id);
  }
  if (live.size === 0) {
    await detachLoops(host);
    await removeDrafts(host.places);
    await tidy(host);
  }
  return gone.toSorted();
}

/** The union of every place where a sandbox leaves its name: a crash may have left any subset. */
async function foundIds(host: Host): Promise<ReadonlySet<string>> {
  const { installationDir, cgroupParent } = host.places;
  const lists = await Promise.all([
    readdir(installationDir).catch(() => []),
    ...host.runtimes.map((runtime) => runtime.ids()),
    claimsOf(host.places).then((claims) => [...claims.keys()]),
    ...host.cgroups.folders(cgroupParent).map((folder) => foldersIn(folder)),
  ]);
  const ids = lists
    .flat()
    .map((name) => (name.endsWith(DATA_GROUP_END) ? name.slice(0, -DATA_GROUP_END.length) : name));
  return new Set(ids.filter((id) => isSandboxId(id)));
}

const foldersIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { withFileTypes: true }).catch(() => [])).filter((e) => e.isDirectory()).map((e) => e.name);

/** A runtime that the dead mesh had just called goes on alone and would finish its sandbox behind our back. */
async function endHelpers(host: Host): Promise<void> {
  const own = [host.places.installationDir, host.places.volumesDir];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const words = (await readFile(`/proc/${name}/cmdline`, "latin1").catch(() => "")).split("\0");
    if (!words.some((word) => own.some((folder) => word === folder || word.startsWith(folder + sep)))) continue;
    const program = basename(await readlink(`/proc/${name}/exe`).catch(() => ""));
    const owner = await stat(`/proc/${name}`).catch(() => null);
    // The runtime may run from a copy of itself in memory, whose link does not show its name.
    const helper = HELPERS.has(program) || HELPERS.has(basename(words[0] ?? ""));
    if (helper && owner?.uid === process.getuid?.()) {
      try {
        process.kill(Number(name), "SIGKILL");
      } catch {
        // It ended in between.
      }
    }
  }
}

/** A device goes with its last user, and whoever lists those of the machine is one for a moment: that is waited for. */
async function detachLoops({ places, clock }: Host): Promise<void> {
  const own = (): Promise<readonly string[]> => loopDevices((file) => file.startsWith(places.volumesDir + sep));
  for (const device of await own()) await runProgram("losetup", ["--detach", device], { clock }).catch(() => undefined);
  const deadline = clock.monotonicMs() + limits.sandbox.stopProofMs;
  while ((await own()).length > 0 && clock.monotonicMs() < deadline) await clock.sleep(20);
}

/** Removes the folders and groups that only hold sandboxes; only when this process has none. */
export async function tidy(host: Host): Promise<void> {
  await new Cgroup(host.cgroups, host.places.cgroupParent).remove();
  for (const folder of runtimeFolders) {
    await rm(join(host.places.installationDir, folder), { recursive: true, force: true });
  }
  await rmdir(host.places.installationDir).catch(() => undefined);
}
