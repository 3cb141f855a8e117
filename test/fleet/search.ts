/** Looks for a text where only the host can look. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Processes in the sandboxes of one installation. */
export function sandboxProcesses(installation: string): number[] {
  const wanted = `/cordon-${installation}/`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(wanted);
      } catch {
        return false;
      }
    });
}

/** Whether any readable page of a process holds `text`; false for one that has ended since it was listed. */
export function memoryHolding(pid: number, text: string): boolean {
  const needle = Buffer.from(text);
  let memory: number | undefined;
  try {
    const regions = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n").flatMap(readableRegion);
    if (regions.length === 0) return false;
    const file = (memory = openSync(`/proc/${pid}/mem`, "r"));
    return regions.some(([from, to]) => regionHolds(file, from, to, needle));
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  } finally {
    if (memory !== undefined) closeSync(memory);
  }
}

function readableRegion(line: string): (readonly [bigint, bigint])[] {
  const match = /^([0-9a-f]+)-([0-9a-f]+) r.{3} (.*)$/.exec(line);
  if (!match || /\[(vvar|vsyscall)/.test(match[3] ?? "")) return [];
  return [[BigInt(`0x${match[1]}`), BigInt(`0x${match[2]}`)]];
}

function regionHolds(memory: number, from: bigint, to: bigint, needle: Buffer): boolean {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = from; at < to; at += BigInt(CHUNK_BYTES - needle.length)) {
    const length = Number(to - at < BigInt(CHUNK_BYTES) ? to - at : BigInt(CHUNK_BYTES));
    let read: number;
    try {
      read = readSync(memory, chunk, 0, length, at);
    } catch {
      return false;
    }
    if (chunk.subarray(0, read).includes(needle)) return true;
  }
  return false;
}

/** Files below `folder` that hold `text`, links not followed. */
export function filesHolding(folder: string, text: string): string[] {
  const needle = Buffer.from(text);
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesHolding(path, text);
    return entry.isFile() && readFileSync(path).includes(needle) ? [path] : [];
  });
}
