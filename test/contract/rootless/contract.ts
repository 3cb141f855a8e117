/** Run by an ordinary user, inside his namespace (see sandbox-rootless.test.ts): the contract of every backend, and the fence. */
import assert from "node:assert/strict";
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import { randomId as id } from "../../../lib/id.ts";
import { limits } from "../../../protocol/limits.ts";
import { SandboxError, type SandboxSpec } from "../../../mesh/sandbox/backend.ts";
import { fenceHolds, probeFence } from "../../../mesh/sandbox/probe.ts";
import { ownGroupOfTwo } from "../../../mesh/sandbox/rootless/given-group.ts";
import { userNamespace } from "../../../mesh/sandbox/rootless/namespace.ts";
import { openHost, projectDir, runToEnd, specOf, startWatched, type TestHost } from "../sandbox-fixture.ts";
import { sandboxContract } from "../sandbox-backend.ts";

sandboxContract(
  "oci for an ordinary user",
  { isolation: "container", refused: ["gvisor", "microvm"], showsFence: true, tellsSignals: "all" },
  () => openHost(),
);

const MiB = 1024 ** 2;
const FOREVER = "setInterval(() => {}, 1e6);";
const own = { memoryBytes: 128 * MiB, cpus: 0.25, pids: 48, diskBytes: 16 * MiB };

describe("the fence of an ordinary user", { timeout: 240_000 }, () => {
  let host: TestHost;
  const namespace = userNamespace();
  before(async () => void (host = await openHost()));
  after(() => host?.close());
  const two = ownGroupOfTwo() !== null;
  const groupFile = (controller: string, spec: SandboxSpec, file: string, end = ""): string =>
    readFileSync(
      `/sys/fs/cgroup${two ? "" : `/${controller}`}${namespace?.cgroup}/cordon-${host.installation}/${spec.id}${end}/${file}`,
      "utf8",
    ).trim();
  /** Its limits as the kernel has them: memory, swap, processes and processor time. */
  const limitsOf = (spec: SandboxSpec, end = ""): readonly string[] => [
    groupFile("memory", spec, two ? "memory.max" : "memory.limit_in_bytes", end),
    groupFile("memory", spec, two ? "memory.swap.max" : "memory.memsw.limit_in_bytes", end),
    groupFile("pids", spec, "pids.max", end),
    groupFile("cpu", spec, two ? "cpu.max" : "cpu.cfs_quota_us", end),
  ];
  /** Version 1 counts memory and swap together, version 2 swap alone. */
  const bounded = (memory: number, pids: number): readonly string[] => [
    ...[String(memory), two ? "0" : String(memory), String(pids), two ? "25000 100000" : "25000"],
  ];
  const up = async (changes: Partial<SandboxSpec> = {}, script = FOREVER) => {
    const spec = specOf(`console.log("up"); ${script}`, { limits: own, ...changes });
    const run = await startWatched(host.backend, spec);
    await run.until((_, text) => text.includes("up"), 30_000);
    return { spec, run };
  };

  it("is in a user namespace that is his own, with room for 31 sandboxes and no more", async () => {
    assert.ok(namespace?.entered && namespace.userId > 0);
    assert.equal(namespace.idRangesMax, 31);
    assert.match(host.backend.name, /^oci, rootless: user namespace of /);
  });

  it("stops every attempt of the probe", async () => {
    const results = await probeFence(host.backend, { clock, id }, "container");
    assert.deepEqual(
      results.filter(({ stopped }) => !stopped),
      [],
    );
    assert.ok(fenceHolds(results, "container"));
  });

  it("tells of a call of which only who wants out has need", async () => {
    assert.equal(await host.backend.deniedCallsUnseen?.("container"), null);
    const tries = `import fs from "node:fs"; import { spawnSync } from "node:child_process"; import { rawCalls } from "/code/elf.js";
      import { forbiddenCalls, forThisMachine } from "/code/raw-calls.js";
      fs.writeFileSync("/data/raw", rawCalls([forThisMachine(forbiddenCalls.setns)]), { mode: 0o755 });
      console.log(Number(spawnSync("/data/raw").stdout.readBigInt64LE()));`;
    const codeFolder = join(projectDir, "mesh/sandbox/probe");
    const run = await startWatched(host.backend, specOf(tries, { limits: own, codeFolder }));
    assert.equal(await run.ended(60_000), "-1\n");
    const told = run.events.filter(({ type }) => type === "syscall_denied");
    assert.deepEqual(
      told.map((event) => event.type === "syscall_denied" && [event.call, event.count]),
      [["setns", 1]],
    );
  });

  it("has each limit of a sandbox in the kernel, and a bounded process for its /data", async () => {
    const { spec, run } = await up();
    await run.until(() => limitsOf(spec).at(-1) === bounded(0, 0).at(-1), 30_000);
    assert.deepEqual(limitsOf(spec), bounded(own.memoryBytes, own.pids));
    const [server = "", ...more] = groupFile("memory", spec, "cgroup.procs", ".data").split("\n");
    assert.deepEqual(more, []);
    assert.equal(readFileSync(`/proc/${server}/comm`, "utf8"), "fuse2fs\n");
    const { dataServerMemoryBytes, dataServerTasksMax } = limits.sandbox;
    assert.deepEqual(limitsOf(spec, ".data"), bounded(dataServerMemoryBytes, dataServerTasksMax));
    const proc = (name: string): string => readFileSync(`/proc/${server}/${name}`, "latin1");
    const status = proc("status");
    assert.match(status, /^NoNewPrivs:\s*1$/m);
    // CAP_SYS_ADMIN of the user's own namespace, and nothing else.
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) assert.match(status, new RegExp(`^${set}:\\s*0*200000$`, "m"));
    for (const set of ["CapInh", "CapAmb"]) assert.match(status, new RegExp(`^${set}:\\s*0+$`, "m"));
    for (const name of ["net", "ipc", "uts"]) {
      assert.notEqual(readlinkSync(`/proc/${server}/ns/${name}`), readlinkSync(`/proc/self/ns/${name}`), name);
    }
    assert.match(proc("net/dev"), /^ *lo:/m);
    assert.doesNotMatch(proc("net/dev"), /^ *(?!lo:)\w+:/m);
    assert.match(proc("limits"), /^Max core file size +0 +0 /m);
    assert.match(proc("limits"), new RegExp(`^Max file size +${own.diskBytes} +${own.diskBytes} `, "m"));
    const resident = /VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${server}/status`, "utf8"))?.[1];
    console.log(`# fuse2fs has ${resident} KiB of memory`);
    await run.sandbox.stop(0);
    assert.deepEqual(host.leftovers(), []);
  });

  it("ends /data where its image ends, and tells of it", async () => {
    const fill = `import fs from "node:fs"; const f = fs.openSync("/data/fill", "w"); let n = 0, e = "";
      try { for (;;) n += fs.writeSync(f, Buffer.alloc(65536, 7)); } catch (error) { e = error.code } console.log(n, e, fs.statfsSync("/data").blocks * fs.statfsSync("/data").bsize); `;
    const { spec, run } = await up({}, fill + FOREVER);
    await run.until((_, text) => /\d+ \w+ \d+\n/.test(text), 30_000);
    const [, written = "", error, size = ""] = /(\d+) (\w+) (\d+)\n/.exec(run.text()) ?? [];
    assert.equal(error, "ENOSPC");
    assert.ok(Number(written) > 8 * MiB && Number(written) < own.diskBytes, written);
    assert.ok(Number(size) < own.diskBytes, size);
    await run.until((events) => events.some(({ type }) => type === "disk_full"), 30_000);
    await run.sandbox.stop(0);
    assert.equal(statSync(`${host.stateDir}/volumes/${spec.volume}.img`).size, own.diskBytes);
  });

  it("ends a sandbox that takes more memory than it has, and refuses it more processes", async () => {
    const bomb = `const kept = []; for (let n = 0; n < 400; n++) kept.push(Buffer.alloc(1048576, 1));`;
    const { run } = await up({}, bomb);
    await run.ended(30_000);
    assert.ok(run.events.some(({ type }) => type === "oom"));
    const forks = `import { spawn } from "node:child_process"; for (let n = 0; n < 20; n++) spawn("/bin/node", ["-e", "setInterval(() => {}, 1e6)"]).on("error", () => {});`;
    const many = await up({ limits: { ...own, memoryBytes: 512 * MiB } }, forks + FOREVER);
    await many.run.until((events) => events.some(({ type }) => type === "pids_exhausted"), 30_000);
    await many.run.sandbox.stop(0);
  });

  it("shows inside no path of the host, and /data without devices and other users' rights", async () => {
    const script = `import fs from "node:fs"; console.log(fs.readFileSync("/proc/self/mountinfo", "utf8").split("\\n").find((line) => / \\/data /.test(line)))`;
    const line = await runToEnd(host.backend, script);
    assert.match(line, / \/ \/data rw,nosuid,nodev,noatime - fuse\.ext4 cordon-[0-9a-f]{32} /);
  });

  it("keeps an operator's command within the sandbox's limits", async () => {
    const { run } = await up();
    const bounds = { outputBytesMax: 4096, timeoutMs: 20_000 };
    const { stdout } = await run.sandbox.exec(
      ["/bin/node", "-e", `console.log(require("fs").readFileSync("/proc/self/cgroup", "utf8"))`],
      bounds,
    );
    // The root of its own namespace of groups is the sandbox's; from any other it would be told as a path out of it.
    if (two) assert.match(stdout, /^0::\/$/m);
    for (const controller of two ? [] : ["memory", "pids", "cpu", "cpuacct"])
      assert.match(stdout, new RegExp(`^\\d+:${controller}:/$`, "m"), stdout);
    await run.sandbox.stop(0);
  });

  it("ends a sandbox whose /data has lost its server, and finds the volume whole", async () => {
    const { spec, run } = await up(
      {},
      `import fs from "node:fs"; fs.writeFileSync("/data/note", "kept", { flush: true }); console.log("written"); ${FOREVER}`,
    );
    await run.until((_, text) => text.includes("written"), 30_000);
    process.kill(Number(groupFile("memory", spec, "cgroup.procs", ".data")), "SIGKILL");
    await run.ended(30_000);
    const last = run.events.at(-1);
    assert.ok(last?.type === "exited" && last.signal === "SIGKILL", JSON.stringify(last));
    assert.deepEqual(host.leftovers(), []);
    const write = `import fs from "node:fs"; fs.writeFileSync("/data/next", "n"); console.log(fs.readdirSync("/data").includes("next"))`;
    assert.equal(await runToEnd(host.backend, write, { volume: spec.volume, limits: own }), "true\n");
  });

  it("refuses a volume that another mesh of this namespace uses", async () => {
    const { spec, run } = await up();
    const other = host.again();
    await assert.rejects(
      other.start(specOf(FOREVER, { volume: spec.volume, limits: own })),
      (error: unknown) => error instanceof SandboxError && /mounted already/.test(error.message),
    );
    await run.sandbox.stop(0);
  });
});
