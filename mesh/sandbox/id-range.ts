/**
 * Host id ranges: every live sandbox of a machine has 2048 UIDs and GIDs of its own. A range is claimed
 * by a file that names its owner; the file appears whole or not at all (link of a finished file), so a
 * crash never leaves a claim that nobody owns.
 */
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import type { Places } from "./places.ts";

const { hostIdsPerSandbox } = limits.sandbox;
const ATTEMPTS_MAX = 4096;

export interface IdRange {
  readonly slot: number;
  /** The host id of the sandbox's id 0. */
  readonly hostId: number;
}

/** In memory, as all of RUN_DIR. `wanted` is the range that the volume's files belong to; another one is given when it is taken. */
export function claimIdRange(
  places: Places,
  id: string,
  volume: string,
  wanted?: number,
  rangesMax: number = places.hostIdRangesMax,
): IdRange {
  const { hostIdFirst } = places;
  mkdirSync(places.idsDir, { recursive: true });
  const draft = join(places.idsDir, `.${places.installation}-${id}`);
  writeFileSync(draft, ownerOf(places, id), { mode: 0o600 });
  try {
    // Spread by name, so that volumes rarely meet and rarely have to be given to another owner.
    const first = createHash("sha256").update(`${places.installation}/${volume}`).digest().readUInt32LE() % rangesMax;
    for (let n = wanted === undefined ? 0 : -1; n < Math.min(ATTEMPTS_MAX, rangesMax); n++) {
      const slot = n < 0 ? (wanted as number) : (first + n) % rangesMax;
      if (slot < 0 || slot >= rangesMax || !Number.isInteger(slot)) continue;
      if (claimed(draft, join(places.idsDir, String(slot)))) {
        return { slot, hostId: hostIdFirst + slot * hostIdsPerSandbox };
      }
    }
  } finally {
    rmSync(draft, { force: true });
  }
  const remedy = places.namespace
    ? "stop another agent, or ask the operator for more ids in `/etc/subuid` and `/etc/subgid`"
    : `remove claims of dead installations from \`${places.idsDir}\``;
  throw new SandboxError("no free host id range", remedy);
}

function claimed(draft: string, claim: string): boolean {
  try {
    linkSync(draft, claim);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

export async function releaseIdRange(places: Places, id: string, slot: number): Promise<void> {
  const claim = join(places.idsDir, String(slot));
  const owner = await readFile(claim, "utf8").catch(() => "");
  if (owner === ownerOf(places, id)) await rm(claim, { force: true });
}

/** Sandbox id → its claims, of this installation only. */
export async function claimsOf(places: Places): Promise<ReadonlyMap<string, readonly number[]>> {
  const found = new Map<string, number[]>();
  for (const name of await readdir(places.idsDir).catch(() => [])) {
    if (!/^\d{1,7}$/.test(name)) continue;
    const [installation, id] = (await readFile(join(places.idsDir, name), "utf8").catch(() => "")).split("/");
    if (installation === places.installation && id) found.set(id, [...(found.get(id) ?? []), Number(name)]);
  }
  return found;
}

/** Drafts that a crash left. */
export async function removeDrafts(places: Places): Promise<void> {
  for (const name of await readdir(places.idsDir).catch(() => [])) {
    if (name.startsWith(`.${places.installation}-`)) await rm(join(places.idsDir, name), { force: true });
  }
}

const ownerOf = (places: Places, id: string): string => `${places.installation}/${id}`;
