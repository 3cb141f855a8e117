/**
 * Many sandboxes that end in the same moment, as at the end of a mesh: everything of each is given back, and few are taken
 * apart at a time. `CORDON_SANDBOXES=1000` for more of them (some 12 GB of memory, as root).
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import type { Sandbox } from "../../mesh/sandbox/backend.ts";
import { createOciBackend } from "../../mesh/sandbox/oci.ts";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { limits } from "../../protocol/limits.ts";
import { openHost, skipUnlessRoot, specOf, type TestHost } from "./sandbox-fixture.ts";

const COUNT = Number(process.env["CORDON_SANDBOXES"] ?? 24);
const STARTS_AT_ONCE = 4;
const MiB = 1024 ** 2;

/** A runtime that takes its time for each `delete`, and writes down when it begins and ends. */
async function tellingRuntime(host: TestHost, log: string): Promise<string> {
  const file = join(host.stateDir, "runtime-that-tells");
  const runtime = await findRuntime("");
  const told = `echo b >>${log}; sleep 0.5; ${runtime} "$@"; code=$?; echo e >>${log}; exit $code`;
  const script = `#!/bin/sh\nfor word in "$@"; do if [ "$word" = delete ]; then ${told}; fi; done\nexec ${runtime} "$@"\n`;
  writeFileSync(file, script, { mode: 0o755 });
  return file;
}

function overlapMost(log: string): number {
  let [now, most] = [0, 0];
  for (const line of readFileSync(log, "latin1").trim().split("\n")) {
    now += line === "b" ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

describe(`${COUNT} sandboxes`, { skip: skipUnlessRoot, timeout: 60_000 + COUNT * 2_000 }, () => {
  it("end at once and leave nothing, few of them at a time", async () => {
    const host = await openHost();
    const log = join(host.stateDir, "deletes");
    writeFileSync(log, "");
    const { installation, stateDir, rootfs } = host;
    const runtime = await tellingRuntime(host, log);
    const backend = createOciBackend({ installation, stateDir, rootfs, runtime, clock });
    const running: Sandbox[] = [];
    let started = 0;
    const lane = async (): Promise<void> => {
      while (started++ < COUNT) {
        const bounds = { memoryBytes: 96 * MiB, cpus: 1, pids: 32, diskBytes: 1 * MiB };
        const sandbox = await backend.start(specOf("setInterval(() => {}, 1e6);", { limits: bounds }));
        sandbox.output.resume();
        running.push(sandbox);
      }
    };
    try {
      const lanes = await Promise.allSettled(Array.from({ length: STARTS_AT_ONCE }, lane));
      for (const each of lanes) if (each.status === "rejected") throw each.reason;
      assert.equal(running.length, COUNT);
      // Half of them are asked first, half are killed, as when the machine runs out of patience.
      const stops = await Promise.allSettled(running.map((sandbox, n) => sandbox.stop(n % 2 === 0 ? 2_000 : 0)));
      for (const stop of stops) if (stop.status === "rejected") throw stop.reason;
      assert.deepEqual(host.leftovers(), []);
      const most = overlapMost(log);
      assert.ok(most >= 1 && most <= limits.sandbox.removalsAtOnceMax, `${most} at a time`);
    } finally {
      await Promise.allSettled(running.map((sandbox) => sandbox.stop(0)));
      await host.close();
    }
  });
});
