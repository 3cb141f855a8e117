import { readFileSync, readdirSync } from "node:fs";

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
