/**
 * Each element of the fence as it shows inside a running sandbox, or on its host: what another wall would cover for if it
 * were gone, and what no attack of the break-out suite can see the want of. The lists are this file's own.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readCgroups } from "../../mesh/sandbox/cgroup.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { openHost, runToEnd, skipUnlessRoot, specOf, startWatched, type TestHost } from "./sandbox-fixture.ts";

const NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
const FOREVER = "setInterval(() => {}, 1e6);";

/** What tells of the host, or lets its kernel be turned; a kernel has some of them. */
export const COVERED = `/proc/acpi /proc/asound /proc/bus /proc/cmdline /proc/config.gz /proc/diskstats /proc/driver
  /proc/interrupts /proc/iomem /proc/ioports /proc/kallsyms /proc/kcore /proc/key-users /proc/keys /proc/kmsg
  /proc/kpagecgroup /proc/kpagecount /proc/kpageflags /proc/latency_stats /proc/mdstat /proc/modules /proc/partitions
  /proc/sched_debug /proc/schedstat /proc/scsi /proc/slabinfo /proc/softirqs /proc/swaps /proc/sysrq-trigger
  /proc/timer_list /proc/timer_stats /proc/vmallocinfo /proc/zoneinfo /dev/tty /sys`.split(/\s+/);
export const UNWRITABLE = ["/proc/fs", "/proc/irq", "/proc/sys", "/proc/tty"];

describe("oci backend: each element of the fence", { skip: skipUnlessRoot, timeout: 60_000 }, () => {
  let host: TestHost;
  before(async () => void (host = await openHost()));
  after(() => host?.close());

  it("gives each sandbox every namespace of its own", async () => {
    const script = `import fs from "node:fs"; console.log(JSON.stringify(${JSON.stringify(NAMESPACES)}.map((name) => fs.readlinkSync("/proc/self/ns/" + name))))`;
    const found = await Promise.all(
      [0, 1].map(async () => JSON.parse(await runToEnd(host.backend, script)) as string[]),
    );
    const all = [...found, NAMESPACES.map((name) => readlinkSync(`/proc/self/ns/${name}`))];
    for (const [n, name] of NAMESPACES.entries())
      assert.equal(new Set(all.map((links) => links[n])).size, all.length, name);
  });

  it("covers each path that tells of the host", async () => {
    const script = `import fs from "node:fs";
      const mounts = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\\n").map((line) => line.split(" ")[4]);
      const empty = (path) => fs.statSync(path).isDirectory() ? fs.readdirSync(path).length === 0 : fs.statSync(path).rdev === 0x103;
      console.log(JSON.stringify(${JSON.stringify(COVERED)}.filter((path) => fs.existsSync(path)).map((path) => [path, mounts.includes(path) && empty(path)])))`;
    const found = JSON.parse(await runToEnd(host.backend, script)) as [string, boolean][];
    assert.deepEqual(
      found.filter(([, covered]) => !covered),
      [],
    );
    // Whatever of it this kernel has was there to be looked at, so an empty list is no pass.
    const here = COVERED.filter((path) => path.startsWith("/proc/") && existsSync(path));
    for (const path of here)
      assert.ok(
        found.some(([name]) => name === path),
        `${path} was not looked at`,
      );
  });

  it("shows what turns the kernel for reading only", async () => {
    const script = `import fs from "node:fs"; const lines = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\\n").map((line) => line.split(" "));
      console.log(JSON.stringify(Object.fromEntries(lines.map((word) => [word[4], word[5]]))))`;
    const mounts = JSON.parse(await runToEnd(host.backend, script)) as Record<string, string>;
    for (const path of UNWRITABLE.filter((each) => existsSync(each)))
      assert.match(mounts[path] ?? "none", /^ro,/, path);
  });

  it("has the root read-only on the host already, and a folder that lists nothing to others", async () => {
    const run = await startWatched(host.backend, specOf(FOREVER));
    const at = `/run/cordon/${host.installation}/${run.sandbox.id}`;
    const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const of = (name: string): string =>
      lines.find((line) => line.split(" ")[4] === join(at, name))?.split(" ")[5] ?? "";
    assert.match(of("rootfs"), /^ro,nosuid,nodev/);
    assert.match(of("data"), /^rw,nosuid,nodev/);
    await run.sandbox.stop(0);
  });

  it("is held to its limits by the kernel", async () => {
    const groups = await readCgroups();
    assert.ok(groups);
    const limits = { memoryBytes: 200 << 20, cpus: 0.25, pids: 40, diskBytes: 8 << 20 };
    const run = await startWatched(host.backend, specOf(FOREVER, { limits }));
    const path = `/cordon-${host.installation}/${run.sandbox.id}`;
    const read = (controller: string, v1: string, v2: string): string =>
      readFileSync(join(groups.folder(controller, path), groups.version === 1 ? v1 : v2), "utf8").trim();
    assert.equal(read("memory", "memory.limit_in_bytes", "memory.max"), String(200 << 20));
    // Version 1 counts memory and swap together, version 2 swap alone.
    assert.equal(
      read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
      groups.version === 1 ? String(200 << 20) : "0",
    );
    assert.equal(read("pids", "pids.max", "pids.max"), "40");
    // Its share among others from the start; the quota comes after the burst.
    assert.equal(Number(read("cpu", "cpu.shares", "cpu.weight")) > (groups.version === 1 ? 256 : 11), false);
    assert.match(read("cpu", "cpu.cfs_quota_us", "cpu.max"), /^(100000|25000)\b/);
    await eventually(
      "the end of the burst",
      async () => read("cpu", "cpu.cfs_quota_us", "cpu.max").startsWith("25000") || undefined,
    );
    const shares = groups.version === 1 ? "256" : "10";
    await eventually("its whole share", async () => read("cpu", "cpu.shares", "cpu.weight") === shares || undefined);
    if (groups.version === 1) assert.doesNotMatch(read("devices", "devices.list", ""), /^(a|b .*[rw]|[bc] \*.*[rw])/m);
    await run.sandbox.stop(0);
  });
});
