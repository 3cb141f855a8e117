import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { SandboxError } from "../../mesh/sandbox/backend.ts";
import { createOciBackend } from "../../mesh/sandbox/oci.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { runtimeProfiles } from "../../mesh/sandbox/runtime-profile.ts";
import { sandboxContract } from "./sandbox-backend.ts";
import {
  openHost,
  runToEnd,
  skipUnlessRoot,
  specOf,
  startWatched,
  testDoor,
  type TestHost,
} from "./sandbox-fixture.ts";

sandboxContract(
  "oci",
  { isolation: "container", refused: ["gvisor", "microvm"], showsFence: true, tellsSignals: "all" },
  () => openHost({ gvisor: null }),
);

const READ_NOTE = `import fs from "node:fs"; const s = fs.statSync("/data/note"); fs.appendFileSync("/data/note", "+"); console.log(fs.readFileSync("/data/note", "utf8"), s.uid)`;

describe("oci backend: host side", { skip: skipUnlessRoot, timeout: 120_000 }, () => {
  let host: TestHost;
  before(async () => void (host = await openHost()));
  after(() => host?.close());

  it("gives the door to the sandbox's own host user and closes it to all others", async () => {
    const doors = [testDoor(), testDoor()] as const;
    const runs = await Promise.all(
      doors.map((door) => startWatched(host.backend, specOf("setInterval(() => {}, 1e6)", { door }))),
    );
    const infos = doors.map((door) => statSync(door.path ?? ""));
    assert.deepEqual(
      infos.map((info) => info.mode & 0o777),
      [0o600, 0o600],
    );
    assert.ok(
      infos.every(
        (info) => info.uid >= 0x7000_0000 && info.uid === info.gid && (info.uid - 0x7000_0000) % 2048 === 1000,
      ),
    );
    assert.notEqual(infos[0]?.uid, infos[1]?.uid);
    await Promise.all(runs.map((run) => run.sandbox.stop(0)));
  });

  it("has each smaller limit as the kernel shows it inside", async () => {
    const script = `import fs from "node:fs"; const read = (name) => fs.readFileSync("/proc/self/" + name, "utf8");
      const limits = Object.fromEntries(read("limits").split("\\n").slice(1, -1).map((line) => line.split(/\\s{2,}/)).map(([name, soft, hard]) => [name, soft + " " + hard]));
      const mounts = Object.fromEntries(read("mountinfo").split("\\n").slice(0, -1).map((line) => line.split(" ")).map((word) => [word[4], word[5] + "," + word.at(-1)]));
      console.log(JSON.stringify({ limits, mounts, umask: /Umask:\\s*(\\d+)/.exec(read("status"))[1], first: read("oom_score_adj").trim() }))`;
    const shown = JSON.parse(await runToEnd(host.backend, script)) as {
      limits: Record<string, string>;
      mounts: Record<string, string>;
      umask: string;
      first: string;
    };
    // Who is ended first when the whole machine has no memory left: a sandbox, not the mesh.
    assert.deepEqual([shown.umask, shown.first], ["0077", "500"]);
    const bounded = {
      ...{ "Max core file size": "0 0", "Max locked memory": "0 0", "Max msgqueue size": "0 0" },
      ...{ "Max open files": "1024 1024", "Max realtime priority": "0 0", "Max nice priority": "0 0" },
    };
    for (const [name, value] of Object.entries(bounded)) assert.equal(shown.limits[name], value, name);
    const mounted = {
      "/": /^ro,nosuid,nodev/,
      "/tmp": /^rw,nosuid,nodev,noexec.*size=65536k,nr_inodes=16384\b/,
      "/dev": /^ro,nosuid,noexec.*size=64k,nr_inodes=64\b/,
      "/proc": /^rw,nosuid,nodev,noexec/,
      "/data": /^rw,nosuid,nodev/,
      "/run/cordon/door.sock": /^ro,nosuid,nodev,noexec/,
      "/sys": /^ro,/,
    };
    for (const [point, form] of Object.entries(mounted)) assert.match(shown.mounts[point] ?? "none", form, point);
  });

  it("gives a volume to its new host user when its range is taken, following no link", async () => {
    const bait = `${host.stateDir}/bait`;
    writeFileSync(bait, "untouched");
    const spec = specOf(
      `import fs from "node:fs"; fs.writeFileSync("/data/note", "n"); fs.symlinkSync(${JSON.stringify(bait)}, "/data/link"); fs.mkdirSync("/data/d/e/f", { recursive: true })`,
    );
    await (await startWatched(host.backend, spec)).ended();
    const record = JSON.parse(readFileSync(`${host.stateDir}/volumes/${spec.volume}.json`, "utf8")) as { slot: number };
    // Another installation has claimed the range meanwhile.
    const other = await openHost();
    const { claimIdRange, releaseIdRange } = await import("../../mesh/sandbox/id-range.ts");
    const { placesOf } = await import("../../mesh/sandbox/places.ts");
    const places = placesOf(other.installation, other.stateDir);
    const taken = claimIdRange(places, "thief", "any", record.slot);
    assert.equal(taken.slot, record.slot);
    assert.equal(await runToEnd(host.backend, READ_NOTE, { volume: spec.volume }), "n+ 1000\n");
    const now = JSON.parse(readFileSync(`${host.stateDir}/volumes/${spec.volume}.json`, "utf8")) as { slot: number };
    assert.notEqual(now.slot, record.slot);
    assert.equal(statSync(bait).uid, 0);
    await releaseIdRange(places, "thief", taken.slot);
    await other.close();
  });

  it("grows a volume whose limit was raised and refuses a lowered one", async () => {
    const script = `import fs from "node:fs"; fs.writeFileSync("/data/note", "n"); const s = fs.statfsSync("/data"); console.log(s.blocks * s.bsize > 12e6)`;
    const limits = (diskBytes: number) => ({ memoryBytes: 192 * 1024 ** 2, cpus: 1, pids: 64, diskBytes });
    const volume = `grow-${host.installation}`;
    assert.equal(await runToEnd(host.backend, script, { volume, limits: limits(8 << 20) }), "false\n");
    assert.equal(await runToEnd(host.backend, script, { volume, limits: limits(16 << 20) }), "true\n");
    await assert.rejects(
      host.backend.start(specOf("", { volume, limits: limits(8 << 20) })),
      (e: unknown) => e instanceof SandboxError && /raise `disk`/.test(e.remedy),
    );
    assert.deepEqual(host.leftovers(), []);
  });

  it("does not start without a runtime, and says so", async () => {
    const bare = createOciBackend({
      installation: host.installation,
      stateDir: host.stateDir,
      rootfs: host.rootfs,
      runtime: null,
      clock,
    });
    assert.match(JSON.stringify(await bare.shortfalls("container")), /no OCI runtime/);
    await assert.rejects(bare.start(specOf("")), SandboxError);
    const absent = createOciBackend({
      installation: host.installation,
      stateDir: host.stateDir,
      rootfs: host.rootfs,
      runtime: "/usr/bin/true",
      clock,
    });
    assert.match(JSON.stringify(await absent.shortfalls("container")), /does not answer/);
    // A runtime that says yes and builds nothing must not pass for a fence.
    await assert.rejects(absent.start(specOf("")), SandboxError);
    assert.deepEqual(host.leftovers(), []);
  });

  const weak = 's/"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1/"defaultAction":"SCMP_ACT_ALLOW"/';
  for (const [what, edit, fault] of [
    ["no filter", 's/"seccomp":{/"ignored":{/', /no system-call filter/],
    ["the host's network", 's/{"type":"network"},//', /the net namespace is the host's/],
    ["a capability", 's/"bounding":\\[\\]/"bounding":["CAP_NET_RAW"]/', /capabilities are left in CapBnd/],
    ["no limit of memory", 's/"memory":{"limit":[0-9]*,"swap":[0-9]*},//', /memory is not limited/],
    ["no limit of processes", 's/,"pids":{"limit":[0-9]*}//', /processes are not limited/],
    ["no limit of processor time", 's/"cpu":{[^}]*},//', /processor time is not limited/],
    ["no limit of swap", 's/,"swap":[0-9]*//', /swap is not limited/],
    ["a cgroup of another name", 's/"cgroupsPath":"[^"]*/&-of-another/', /the memory cgroup is not its own/],
    ["another user", 's/"uid":1000/"uid":1001/', /the user is not the mapped one/],
    ["another group", 's/"gid":1000/"gid":1001/', /the group is not the mapped one/],
    // With the own filter runc itself could not give up its capabilities so late.
    [
      "privileges to gain",
      `s/"noNewPrivileges":true/"noNewPrivileges":false/; ${weak}`,
      /new privileges can be gained/,
    ],
    [
      "a capability to pass on",
      's/"\\(bounding\\|permitted\\|inheritable\\)":\\[\\]/"\\1":["CAP_KILL"]/g',
      /left in CapInh/,
    ],
    ["the host's shared memory", 's/{"type":"ipc"},//', /the ipc namespace is the host's/],
    ["the host's names", 's/{"type":"uts"},//; s/"hostname":"sandbox",//', /the uts namespace is the host's/],
    ["the host's cgroups", 's/{"type":"cgroup"},//', /the cgroup namespace is the host's/],
  ] as const) {
    it(`ends a sandbox that a faulty runtime built with ${what}`, async () => {
      const runtime = `${host.stateDir}/runtime-${what.replaceAll(/[ ']/g, "-")}`;
      const find =
        'for word in "$@"; do [ "$before" = --bundle ] && sed -i "$edit" "$word/config.json"; before=$word; done';
      writeFileSync(runtime, `#!/bin/sh\nedit='${edit.replaceAll("'", "'\\''")}'\n${find}\nexec runc "$@"\n`, {
        mode: 0o755,
      });
      const faulty = createOciBackend({
        installation: host.installation,
        stateDir: host.stateDir,
        rootfs: host.rootfs,
        runtime,
        clock,
      });
      const door = testDoor();
      await assert.rejects(
        faulty.start(specOf("setInterval(() => {}, 1e6)", { door })),
        (e: unknown) => e instanceof SandboxError && fault.test(e.message),
      );
      assert.equal(door.closed, true);
      assert.deepEqual(host.leftovers(), []);
    });
  }

  it("does not accept a fence that the kernel does not confirm", async () => {
    const { confirmFence, startTimeOf } = await import("../../mesh/sandbox/proc.ts");
    let now = 0;
    const fastClock = { ...clock, monotonicMs: () => (now += 5_000), sleep: async () => undefined };
    await assert.rejects(
      confirmFence(process.pid, startTimeOf(process.pid) ?? "", 0, runtimeProfiles.container, fastClock),
      SandboxError,
    );
  });
});

describe("oci backend: after kill -9 of the mesh", { skip: skipUnlessRoot, timeout: 120_000 }, () => {
  const script = fileURLToPath(new URL("sandbox-victim.ts", import.meta.url));
  // From the first folder to a running sandbox; each leaves another half-built state.
  for (const delayMs of [5, 15, 30, 45, 60, 75, 90, 120, 200, 500]) {
    it(`clears what stands ${delayMs} ms into a start`, async () => {
      const host = await openHost();
      const child = spawn(process.execPath, [script, host.installation, host.stateDir], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await new Promise((resolve) => child.stdout.once("data", resolve));
      await clock.sleep(delayMs);
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("close", resolve));
      await host.again().sweep();
      await clock.sleep(150);
      assert.deepEqual(host.leftovers(), []);
      assert.deepEqual(processesUnder(host.installation), []);
      // The volume it was using is whole and free.
      assert.equal(await runToEnd(host.again(), `console.log("again")`, { volume: "victim" }), "again\n");
      await host.close();
    });
  }

  it("ends a runtime of the dead mesh that is still at work, and no other process", async () => {
    const host = await openHost();
    const path = `/run/cordon/${host.installation}/runtime`;
    const helper = (argv0: string, word: string) =>
      spawn("/bin/sh", ["-c", "sleep 60 & wait", argv0, word], { argv0, stdio: "ignore", detached: true });
    const all = [
      helper("runc", path),
      helper("runc", `${path}-of-another`.replace("/runtime", "x/runtime")),
      helper("editor", path),
    ];
    await clock.sleep(50);
    await host.again().sweep();
    await clock.sleep(50);
    const ended = all.map((child) => child.signalCode);
    for (const child of all) if (child.pid) process.kill(-child.pid, "SIGKILL");
    assert.deepEqual(ended, ["SIGKILL", null, null]);
    await host.close();
  });

  it("names the sandboxes it ended and leaves other installations alone", async () => {
    const [host, other] = [await openHost(), await openHost()];
    const theirs = specOf(`console.log("up"); setInterval(() => {}, 1e6)`);
    // A process of its own: a mesh that is not dead would clear away its sandbox at the same moment.
    const child = spawn(process.execPath, [script, host.installation, host.stateDir, "one"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let told = "";
    for await (const piece of child.stdout) if ((told += String(piece)).split("\n").length > 2) break;
    const mine = told.split("\n")[1] ?? "";
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once("exit", resolve));
    const kept = await startWatched(other.backend, theirs);
    try {
      assert.deepEqual(await host.again().sweep(), [mine]);
      assert.deepEqual(host.leftovers(), []);
      await kept.until((_, text) => text.includes("up"));
      assert.equal(
        kept.events.some((event) => event.type === "exited"),
        false,
      );
      assert.deepEqual(await other.backend.sweep(), [], "a mesh does not sweep its own");
    } finally {
      await kept.sandbox.stop(0);
    }
    await host.close();
    await other.close();
  });
});

const processesUnder = (installation: string): readonly string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        // A zombie waits for the host's PID 1, which may take its time; it runs nothing.
        if (/^State:\s*Z/m.test(readFileSync(`/proc/${name}/status`, "utf8"))) return "";
        return readFileSync(`/proc/${name}/cgroup`, "utf8") + readFileSync(`/proc/${name}/cmdline`, "utf8");
      } catch {
        return "";
      }
    })
    .filter((text) => text.includes(`cordon-${installation}`) || text.includes(`/run/cordon/${installation}`));
