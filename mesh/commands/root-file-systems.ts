import { accessSync, constants, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../lib/clock.ts";
import type { AgentSetting, Fleet } from "../config/fleet.ts";
import { ensureGuestRootfs } from "../sandbox/rootfs-guest.ts";
import { ensureRootfs } from "../sandbox/rootfs.ts";

const projectDir = fileURLToPath(new URL("../..", import.meta.url));
const sharedCache = join(projectDir, ".cache", "rootfs");

/** Beside Cordon itself; in the state folder where that belongs to somebody else. */
export function rootfsCache(state: string): string {
  const nearest = [sharedCache, dirname(sharedCache), projectDir].find((folder) => existsSync(folder));
  try {
    accessSync(nearest ?? projectDir, constants.W_OK);
    return sharedCache;
  } catch {
    return join(state, "rootfs");
  }
}

/** The fleet with every root file system that an agent asks for built; each request is built once, whoever asks. `tell` is told what is begun. */
export async function withRootFileSystems(
  fleet: Fleet,
  state: string,
  clock: Clock,
  tell: (stage: string) => void,
): Promise<Fleet> {
  const cacheDir = rootfsCache(state);
  const built = new Map<string, string>();
  const agents: AgentSetting[] = [];
  for (const agent of fleet.agents) {
    if (agent.rootfs === undefined) {
      agents.push(agent);
      continue;
    }
    const key = JSON.stringify(agent.rootfs);
    if (!built.has(key)) tell(`preparing the root file system of ${agent.name}`);
    const base = await ensureRootfs({ cacheDir, projectDir, nodePath: process.execPath, clock });
    const folder = built.get(key) ?? (await ensureGuestRootfs(agent.rootfs, { cacheDir, clock, base }));
    built.set(key, folder);
    agents.push({ ...agent, rootfsFolder: folder });
  }
  return { ...fleet, agents };
}
