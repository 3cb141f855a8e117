import { spawnSync } from "node:child_process";
import { REFUSED } from "./raw-calls.js";
import { hole, wall } from "./report.js";

const RESULT_BYTES = 8;

/** One program a call, so that a call that succeeds changes nothing for the next one. */
export function tryKernel(report, target, run) {
  const result = (name) => {
    const { stdout, signal, error } = spawnSync(run(name), { timeout: 10_000 });
    if (error && !stdout?.length) throw error;
    // A call that makes a second process gives two results.
    if (stdout.length < RESULT_BYTES) return { value: 0, signal: signal ?? "no result" };
    return { value: Number(stdout.readBigInt64LE(0)), signal: "" };
  };
  for (const name of target.calls) {
    report(`call-${name}`, () => {
      const { value, signal } = result(name);
      if (signal === "SIGSYS" || signal === "SIGKILL") return wall(`killed by ${signal}`);
      if (signal) return hole(`the program did not finish: ${signal}`);
      return (-value) in REFUSED ? wall(REFUSED[-value]) : hole(`the kernel answered ${value}`);
    });
  }
  for (const name of target.allowedCalls) {
    report(`control-call-${name}`, () => {
      const { value, signal } = result(name);
      return { stopped: signal !== "" || value < 0, by: signal || value };
    });
  }
  for (const name of target.foreignCalls) {
    report(`calls-${name}`, () => {
      const { signal, status, error } = spawnSync(run(name), { timeout: 10_000 });
      if (error) throw error;
      if (signal === "SIGSYS" || signal === "SIGSEGV") return wall(`killed by ${signal}`);
      return hole(`ended with ${signal ?? status}`);
    });
  }
}
