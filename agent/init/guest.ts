import { spawn } from "node:child_process";
import { constants } from "node:os";
import type { Log } from "./log.ts";
import { describeFault } from "./log.ts";
import { createReaper } from "./reaper.ts";

export interface GuestOptions {
  /** Program and arguments; at least the program. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
}

const NOT_STARTED = 127;
const forwarded = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/**
 * Runs the sandbox's command as a child of PID 1 on the same standard streams and resolves with the code to
 * exit with: the child's own, 128 + signal number, or 127 if it could not be started.
 */
export function runGuest({ command, environment, log }: GuestOptions): Promise<number> {
  const [program = "", ...rest] = command;
  return new Promise((resolve) => {
    const child = spawn(program, rest, { stdio: "inherit", env: { ...environment } });
    child.once("error", (fault) => {
      if (child.pid !== undefined) return;
      log("error", "guest.not_started", { program, fault: describeFault(fault) });
      resolve(NOT_STARTED);
    });
    if (child.pid === undefined) return;
    log("info", "guest.started", { program, pid: child.pid });

    const reap = createReaper(child.pid, log);
    if (reap) process.on("SIGCHLD", reap);
    for (const signal of forwarded) process.on(signal, () => child.kill(signal));

    child.once("exit", (code, signal) => {
      const status = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      log("info", "guest.exited", { code: status, signal });
      resolve(status);
    });
  });
}
