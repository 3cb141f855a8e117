/**
 * Takes a sandbox apart from whatever state it is in: running, half built, or left by a mesh that was
 * killed. Used by stop, by a start that failed and by the sweep, so that there is one way down. Works from
 * names and from what the kernel shows, never from memory; each step may find its work already done.
 */
import { lstat, readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import { Cgroup, type Cgroups } from "./cgroup.ts";
import { claimsOf, releaseIdRange } from "./id-range.ts";
import { loopDevices, mountsUnder } from "./mounts.ts";
import { type Places, type SandboxPlaces, sandboxPlacesOf } from "./places.ts";
import { runProgram } from "./process.ts";
import { quickly } from "./reaper.ts";
import type { Runtime } from "./runtime.ts";

/** How often a server of /data is waited for before it is killed: about five seconds. */
const SERVER_WAITS_MAX = 25;

export interface Host {
  readonly places: Places;
  readonly clock: Clock;
  readonly cgroups: Cgroups;
  /** Every runtime that this installation may have used. */
  readonly runtimes: readonly Runtime[];
}

/**
 * Resolves when the kernel confirms that nothing is left; throws SandboxError naming what is. `image`: of its volume;
 * `slot`: of its ids, looked for among all claims where it is not known.
 */
export async function dismantle(host: Host, id: string, image: string | null, slot?: number): Promise<void> {
  const at = sandboxPlacesOf(host.places, id);
  const cgroup = new Cgroup(host.cgroups, at.cgroup);
  const server = host.places.namespace && new Cgroup(host.cgroups, at.dataCgroup);
  const deadline = host.clock.monotonicMs() + limits.sandbox.stopProofMs;
  for (let attempt = 0; ; attempt++) {
    for (const runtime of host.runtimes) {
      if (attempt !== runtime.profile.deletesAtAttempt || !(await runtime.ids()).includes(id)) continue;
      await runtime.delete(id).catch(() => undefined);
    }
    for (const pid of await cgroup.processes()) kill(pid);
    await cgroup.remove();
    await unmountAll(at, attempt, host.clock);
    if (server) await endServer(server, attempt);
    await removeFolder(at);
    const left = [...(await whatIsLeft(at, cgroup, image)), ...((await server?.standing()) ?? [])];
    if (left.length === 0) break;
    if (host.clock.monotonicMs() > deadline) {
      throw new SandboxError(
        `sandbox \`${id}\` is not gone: ${left.join(", ")}`,
        "run `cordon down` again, or reboot the machine",
      );
    }
    await host.clock.sleep(Math.min(200, 5 * 2 ** attempt));
  }
  for (const runtime of host.runtimes) await runtime.forget(id);
  // Last: only when no process is left may another sandbox have its user ids.
  const claimed = slot === undefined ? ((await claimsOf(host.places)).get(id) ?? []) : [slot];
  for (const each of claimed) await releaseIdRange(host.places, id, each);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended in between.
  }
}

/** It ends by itself when /data is unmounted, and writes what it still holds first; that is waited for, but not for ever. */
async function endServer(server: Cgroup, attempt: number): Promise<void> {
  if (attempt > SERVER_WAITS_MAX) for (const pid of await server.processes()) kill(pid);
  await server.remove();
}

async function unmountAll(at: SandboxPlaces, attempt: number, clock: Clock): Promise<void> {
  const points = await mountsUnder(at.dir);
  if (points.length === 0) return;
  if (attempt === 0 && (await quickly.unmount(points, { clock, timeoutMs: limits.sandbox.toolTimeoutMs }))) return;
  // A lazy unmount hides a mount that is still busy, so it comes only when waiting did not help.
  await runProgram("umount", [...(attempt > 8 ? ["--lazy"] : []), "--", ...points], { clock }).catch(() => undefined);
}

/** Never recursive: if a mount were still there, recursion would reach into the agent's files. */
async function removeFolder(at: SandboxPlaces): Promise<void> {
  if ((await mountsUnder(at.dir)).length > 0) return;
  for (const name of await readdir(at.dir).catch(() => [])) {
    const path = join(at.dir, name);
    const info = await lstat(path).catch(() => null);
    await (info?.isDirectory() ? rmdir(path) : unlink(path)).catch(() => undefined);
  }
  await rmdir(at.dir).catch(() => undefined);
}

async function whatIsLeft(at: SandboxPlaces, cgroup: Cgroup, image: string | null): Promise<readonly string[]> {
  const left = [...(await mountsUnder(at.dir)), ...(await cgroup.standing())];
  if (
    await lstat(at.dir).then(
      () => true,
      () => false,
    )
  )
    left.push(at.dir);
  if (image !== null) left.push(...(await loopDevices((file) => file === image)));
  return left;
}
