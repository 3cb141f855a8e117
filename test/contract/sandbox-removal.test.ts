/** How a sandbox is taken apart where what should help does not: a runtime that deletes nothing, a mount that stays busy. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { type SandboxBackend, SandboxError } from "../../mesh/sandbox/backend.ts";
import { readCgroups } from "../../mesh/sandbox/cgroup.ts";
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

/** A backend whose runtime deletes nothing. */
const unaided = async (host: TestHost, clock: Clock = systemClock): Promise<SandboxBackend> => {
  const { installation, stateDir, rootfs } = host;
  return createOciBackend({ installation, stateDir, rootfs, runtime: await idleRuntime(host), clock });
};

/** From `hurry` on each look at the time takes two seconds, so that the patience of the mesh ends soon. */
function hurriedClock(): Clock & { hurry(): void } {
  let [step, ahead] = [0, 0];
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + (ahead += step),
    hurry: () => void (step = 2_000),
  };
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
    const host = await openHost();
    const [first, later] = [await unaided(host), await unaided(host)];
    // As it is after a mesh that was killed: who ends it has never known its PID 1.
    const run = await startWatched(first, specOf(FOREVER));
    await run.until((_, text) => text.includes("up"));
    assert.ok(processesOf(host.installation).length > 0);
    assert.deepEqual(await later.sweep(), [run.sandbox.id]);
    assert.deepEqual(processesOf(host.installation), []);
    assert.deepEqual(host.leftovers(), []);
    await host.close();
  });

  it("is not there while a group of it stands", async () => {
    const host = await openHost();
    const clock = hurriedClock();
    const run = await startWatched(await unaided(host, clock), specOf(FOREVER));
    await run.until((_, text) => text.includes("up"));
    const groups = await readCgroups();
    const group = groups?.folder("memory", `/cordon-${host.installation}/${run.sandbox.id}`) ?? "";
    // A group within a group cannot be made from inside: no file system of groups is mounted there.
    mkdirSync(join(group, "within"));
    try {
      clock.hurry();
      await assert.rejects(
        run.sandbox.stop(0),
        (error: unknown) => error instanceof SandboxError && error.message.includes(`is not gone: ${group}`),
      );
    } finally {
      rmdirSync(join(group, "within"));
    }
    assert.deepEqual(await host.again().sweep(), [run.sandbox.id]);
    await host.close();
  });

  it("lets go of a loop device that a start was killed over", async () => {
    const host = await openHost();
    await (await startWatched(host.backend, specOf("", { volume: "orphan" }))).ended();
    const made = spawnSync("losetup", ["--find", "--show", join(host.stateDir, "volumes/orphan.img")], {
      encoding: "utf8",
    });
    assert.match(made.stdout, /^\/dev\/loop\d+\n$/, made.stderr);
    await host.again().sweep();
    const left = host.leftovers();
    // Not the machine's to keep when the sweep has failed.
    if (left.length > 0) spawnSync("losetup", ["--detach", made.stdout.trim()]);
    assert.deepEqual(left, []);
    await host.close();
  });

  it("gives its users to nobody while something of it stands, and says what", async () => {
    const host = await openHost();
    const clock = hurriedClock();
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
      clock.hurry();
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
