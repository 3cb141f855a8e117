import { statfsSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";

/** Of a file system, in bytes. */
export interface Space {
  readonly free: number;
  readonly all: number;
}

/**
 * Whether the disk of the state has room for what agents leave there. The last of it is for the mesh's own work and its evidence:
 * a store that cannot write ends the mesh, and no agent may bring that about.
 */
export function roomOn(space: () => Space, clock: Clock): () => boolean {
  const { freeBytesMin, freeHundredthsMin, spaceLookMs } = limits.store;
  let room = true;
  let lookedMs = -Infinity;
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedMs < spaceLookMs) return room;
    lookedMs = nowMs;
    const { free, all } = space();
    room = free >= Math.min(freeBytesMin, (all * freeHundredthsMin) / 100);
    return room;
  };
}

export function spaceAt(folder: string): Space {
  const { bavail, blocks, bsize } = statfsSync(folder);
  return { free: bavail * bsize, all: blocks * bsize };
}
