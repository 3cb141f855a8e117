import { closeSync, fdatasyncSync, openSync, readFileSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Seconds of CPU that a process has used with all its threads (proc(5), `schedstat`: nanoseconds on a core). */
export function cpuSeconds(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // A thread that ended in between.
    }
  }
  return ns / 1e9;
}

/** What is resident now. */
export const residentMiB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? Number.NaN) / 1024;

/**
 * The median of a small write to a file there until it is on the disk: no decision that is durable takes less. `restMs` is how
 * long the machine rests before each: caches and virtual disks are slower after a rest, as they are for a call that is alone.
 */
export function flushUsIn(folder: string, restMs = 0): number {
  const path = join(folder, "flushed");
  const file = openSync(path, "w");
  const bytes = Buffer.alloc(4_096, 1);
  const timesMs: number[] = [];
  for (let n = 0; n < FLUSHES; n++) {
    if (restMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, restMs);
    const fromMs = performance.now();
    writeSync(file, bytes, 0, bytes.length, 0);
    fdatasyncSync(file);
    timesMs.push(performance.now() - fromMs);
  }
  closeSync(file);
  rmSync(path);
  return (timesMs.toSorted((a, b) => a - b)[FLUSHES >> 1] ?? Number.NaN) * 1_000;
}

const FLUSHES = 101;
