import type { Log } from "./log.ts";
import { describeFault } from "./log.ts";

// Linux, 64 bit, from <bits/waitflags.h> and <bits/types/siginfo_t.h>.
const P_ALL = 0;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;
const SIGINFO_BYTES = 128;
const SI_PID_OFFSET = 16;

/**
 * PID 1 inherits every orphan of its namespace and must wait for it, or it stays a zombie that counts against
 * the sandbox's process limit. The runtime only waits for children that it started itself, so the two
 * system calls are made directly. Returns what is to be called on SIGCHLD, or undefined where it cannot be had.
 *
 * `guest` is the pid that the runtime waits for: taking its exit code away would lose it.
 */
export function createReaper(guest: number, log: Log): (() => number) | undefined {
  try {
    const { waitid, waitpid } = quietly(() => {
      const ffi = process.getBuiltinModule("node:ffi");
      return ffi.dlopen(null, {
        waitid: { return: "i32", arguments: ["i32", "u32", "buffer", "i32"] },
        waitpid: { return: "i32", arguments: ["i32", "pointer", "i32"] },
      }).functions;
    });
    const info = Buffer.alloc(SIGINFO_BYTES);
    return () => {
      let reaped = 0;
      for (;;) {
        info.fill(0);
        if (waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT) !== 0) return reaped;
        const pid = info.readInt32LE(SI_PID_OFFSET);
        if (pid <= 0 || pid === guest || waitpid(pid, 0n, WNOHANG) !== pid) return reaped;
        reaped++;
      }
    };
  } catch (fault) {
    log("warn", "init.no_reaper", { fault: describeFault(fault) });
    return undefined;
  }
}

/** Loading the interface prints a notice that it is experimental; a sandbox's output is for its guest. */
function quietly<T>(load: () => T): T {
  const emit = process.emitWarning;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emit;
  }
}
