/** How a sandbox is taken apart where what should help does not: a runtime that deletes nothing, a mount that stays busy. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { SandboxError } from "../../mesh/sandbox/backend.ts";
import { createOciBackend } from "../../mesh/sandbox/oci.ts";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { openHost, skipUnlessRoot, specOf, startWatched, type TestHost } from "./sandbox-fixture.ts";

const FOREVER = `console.log("up"); setInterval(() => {}, 1e6);`;

/** A runtime whose `delete` says that it is done. */
async function idleRuntime(host: TestHost): Promise<string> {
  const file = join(host.stateDir, "runtime-that-deletes-nothing");
  const look = 'for word in "$@"; do [ "$word" = delete ] && exit 0; done';
  writeFileSync(file, `#!/bin/sh\n${look}\nexec ${await findRuntime("")} "$@"\n`, { mode: 0o755 });
  return file;
}

const processesOf = (installation: string): readonly string[] =>
  readdirSync("/proc").filter((name) => {
    try {
      // A zombie waits for its parent and runs nothing.
      if (!/^\d+$/.test(name) || /^State:\s*Z/m.test(readFileSync(`/proc/${name}/status`, "utf8"))) return false;
      return readFileSync(`/proc/${name}/cgroup`, "utf8").includes(`/cordon-${installation}/`);
    } catch {
      return false;
    }
  });
const claimsOf = (installation: string): number =>
  readdirSync("/run/cordon/ids").filter((name) => {
    try {
      return readFileSync(`/run/cordon/ids/${name}`, "utf8").startsWith(`${installation}/`);
    } catch {
      return false;
    }
  }).length;

describe("the end of a sandbox", { skip: skipUnlessRoot, timeout: 60_000 }, () => {
  it("is the mesh's own work where the runtime deletes nothing", async () => {
    const first = await openHost();
    const options = { installation: first.installation, stateDir: first.stateDir, rootfs: first.rootfs };
    const later = createOciBackend({ ...options, runtime: await idleRuntime(first), clock: systemClock });
    // As it is after a mesh that was killed: nobody is left who knows its PID 1.
    const run = await startWatched(first.backend, specOf(FOREVER));
    await run.until((_, text) => text.includes("up"));
    assert.ok(processesOf(first.installation).length > 0);
    assert.deepEqual(await later.sweep(), [run.sandbox.id]);
    assert.deepEqual(processesOf(first.installation), []);
    assert.deepEqual(first.leftovers(), []);
    await first.close();
  });

  it("gives its users to nobody while something of it stands, and says what", async () => {
    const host = await openHost();
    let hurried = false;
    // From the stop on, each look at the time takes two seconds, so that the patience of the mesh ends soon.
    let ahead = 0;
    const clock = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() + (hurried ? (ahead += 2_000) : 0),
    };
    const options = { installation: host.installation, stateDir: host.stateDir, rootfs: host.rootfs };
    const backend = createOciBackend({ ...options, runtime: await findRuntime(""), clock });
    const run = await startWatched(backend, specOf(FOREVER));
    await run.until((_, text) => text.includes("up"));
    const data = `/run/cordon/${host.installation}/${run.sandbox.id}/data`;
    // A process of the host in its /data: the mount stays busy, and behind it the loop device.
    const guest = spawn("/bin/sh", ["-c", "echo in; read line"], { cwd: data, stdio: ["pipe", "pipe", "ignore"] });
    const left = new Promise((resolve) => guest.once("close", resolve));
    try {
      await new Promise((resolve) => guest.stdout.once("data", resolve));
      hurried = true;
      await assert.rejects(
        run.sandbox.stop(0),
        (error: unknown) => error instanceof SandboxError && /is not gone: .*loop/.test(error.message),
      );
      assert.equal(claimsOf(host.installation), 1);
    } finally {
      guest.stdin.end();
      await left;
    }
    assert.deepEqual(await host.again().sweep(), [run.sandbox.id]);
    assert.equal(claimsOf(host.installation), 0);
    await host.close();
  });
});
