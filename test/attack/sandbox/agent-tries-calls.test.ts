/** Hostile code makes the system calls of which only who wants out has need: refused as ever, and somebody is told. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import type { SandboxEvent } from "../../../mesh/sandbox/backend.ts";
import { limits } from "../../../protocol/limits.ts";
import {
  openHost,
  projectDir,
  skipUnlessRoot,
  specOf,
  startWatched,
  type TestHost,
  testDoor,
  type Watched,
} from "../../contract/sandbox-fixture.ts";

const codeFolder = join(projectDir, "mesh/sandbox/probe");
const PATIENCE_MS = 60_000;
const EPERM = -1;
const ENOSYS = -38;
const FOREVER = "setInterval(() => {}, 1e6);";

/** Name of the attempt in the probe's raw-calls.js → the call that is told. */
const TOLD: Readonly<Record<string, string>> = {
  ...{ io_uring_setup: "io_uring_setup", io_uring_enter: "io_uring_enter", ptrace: "ptrace", bpf: "bpf" },
  ...{ process_vm_readv: "process_vm_readv", process_vm_writev: "process_vm_writev", pidfd_getfd: "pidfd_getfd" },
  ...{ userfaultfd: "userfaultfd", perf_event_open: "perf_event_open", keyctl: "keyctl", add_key: "add_key" },
  ...{ request_key: "request_key", mount: "mount", umount2: "umount2", pivot_root: "pivot_root", chroot: "chroot" },
  ...{ open_tree: "open_tree", move_mount: "move_mount", fsopen: "fsopen", mount_setattr: "mount_setattr" },
  ...{ unshare_user: "unshare", setns: "setns", clone_new_user: "clone", mknodat: "mknodat", reboot: "reboot" },
  ...{ kexec_load: "kexec_load", init_module: "init_module", finit_module: "finit_module", swapon: "swapon" },
  ...{ delete_module: "delete_module", open_by_handle_at: "open_by_handle_at", name_to_handle_at: "name_to_handle_at" },
  ...{ socket_packet: "socket", socket_vsock: "socket", socket_alg: "socket", socket_raw_ipv4: "socket" },
};
/** Refused like the others, but what C libraries and programs do of their own accord tells of nobody. */
const UNTOLD = ["clone3", "socket_netlink", "memfd_create", "personality", "setuid", "sync", "socket_icmp_datagram"];

/** Makes the calls of these names once, in one program, and prints their results. */
const tries = (names: readonly string[]): string => `import fs from "node:fs";
  import { spawnSync } from "node:child_process";
  import { rawCalls } from "/code/elf.js";
  import { forbiddenCalls, forThisMachine } from "/code/raw-calls.js";
  const calls = ${JSON.stringify(names)}.map((name) => forThisMachine(forbiddenCalls[name]));
  fs.writeFileSync("/data/raw", rawCalls(calls), { mode: 0o755 });
  const { stdout, pid } = spawnSync("/data/raw");
  console.log(JSON.stringify({ pid, results: calls.map((_, i) => Number(stdout.readBigInt64LE(i * 8))) }));`;

type Denied = Extract<SandboxEvent, { type: "syscall_denied" }>;
const deniedOf = (run: Watched): readonly Denied[] =>
  run.events.filter((event): event is Denied => event.type === "syscall_denied");
const unwatched = (run: Watched): boolean => run.events.some(({ type }) => type === "syscalls_unwatched");

/** The watcher of this process. */
function watcher(): number {
  const found = readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, "latin1"))?.[1];
      return Number(parent) === process.pid && readFileSync(`/proc/${name}/cmdline`).includes("denial-watcher.pl");
    } catch {
      return false;
    }
  });
  assert.equal(found.length, 1, "one watcher for all sandboxes");
  return Number(found[0]);
}

describe("hostile code tries what it may not", { skip: skipUnlessRoot, timeout: 240_000 }, () => {
  let host: TestHost;
  before(async () => {
    host = await openHost();
    assert.equal(await host.backend.deniedCallsUnseen?.("container"), null);
  });
  after(() => host?.close());
  const start = (script: string, changes = {}): Promise<Watched> =>
    startWatched(host.backend, specOf(script, { codeFolder, ...changes }));

  const names = Object.keys(TOLD);
  const kinds = limits.sandbox.deniedKindsMax - 1;
  for (let first = 0; first < names.length; first += kinds) {
    const some = names.slice(first, first + kinds);
    it(`is refused and told: ${some.join(" ")}`, async () => {
      const run = await start(tries(some));
      const { pid, results } = JSON.parse(await run.ended(PATIENCE_MS)) as { pid: number; results: readonly number[] };
      assert.deepEqual(
        results,
        some.map(() => EPERM),
      );
      const denied = deniedOf(run);
      assert.deepEqual(
        [...new Set(denied.map((event) => event.call))].toSorted(),
        [...new Set(some.map((name) => TOLD[name] ?? ""))].toSorted(),
      );
      assert.equal(
        denied.reduce((sum, { count }) => sum + count, 0),
        some.length,
        "each of them is counted",
      );
      // The program may have ended before its number was looked up.
      assert.ok(denied.every((event) => event.pid === pid || event.pid === null) && denied[0]?.pid === pid);
      assert.deepEqual([run.events[0]?.type, run.events.at(-1)?.type], ["started", "exited"]);
    });
  }

  it("is refused and not told where honest programs do the same", async () => {
    const run = await start(tries(UNTOLD));
    const { results } = JSON.parse(await run.ended(PATIENCE_MS)) as { results: readonly number[] };
    assert.deepEqual(
      results,
      UNTOLD.map((name) => (name === "clone3" ? ENOSYS : EPERM)),
    );
    assert.deepEqual(deniedOf(run), []);
  });

  it("is not seen in what an honest program does", async () => {
    const script = `import fs from "node:fs/promises"; import { Worker } from "node:worker_threads"; import http from "node:http";
      import dns from "node:dns/promises"; import os from "node:os"; import { execFileSync } from "node:child_process";
      await fs.writeFile("/data/note", "n"); await fs.readFile("/data/note"); try { os.networkInterfaces() } catch {}
      execFileSync("/bin/node", ["-e", "1"]); await dns.lookup("localhost").catch(() => {});
      await new Promise((done) => new Worker("1", { eval: true }).once("exit", done));
      const server = http.createServer((_, response) => response.end("ok")); server.listen(0, "127.0.0.1");
      await new Promise((done) => server.once("listening", done));
      console.log(await (await fetch("http://127.0.0.1:" + server.address().port)).text()); server.close();`;
    const run = await start(script, { limits: { memoryBytes: 256 << 20, cpus: 1, pids: 96, diskBytes: 8 << 20 } });
    assert.equal(await run.ended(PATIENCE_MS), "ok\n");
    assert.deepEqual(deniedOf(run), []);
  });

  it("is said to be unseen where a kernel in user space answers", async () => {
    const unseen = (await host.backend.deniedCallsUnseen?.("gvisor")) ?? "";
    assert.match(unseen, /^(the calls of its sandboxes end in a kernel of its own|there are no such sandboxes here)$/);
  });

  it("is told of the sandbox it was made in, and of no other", async () => {
    const runs = await Promise.all([start(tries(["mount"])), start(tries(["bpf"])), start(tries([]))]);
    await Promise.all(runs.map((run) => run.ended(PATIENCE_MS)));
    const told = runs.map((run) => deniedOf(run).map(({ call, count }) => `${call} ${count}`));
    assert.deepEqual(told, [["mount 1"], ["bpf 1"], []]);
  });

  it("is told of an operator's command, too", async () => {
    const run = await start(FOREVER);
    const command = ["/bin/node", "--input-type=module", "--eval", tries(["setns", "ptrace"])];
    const done = await run.sandbox.exec(command, { outputBytesMax: 10_000, timeoutMs: PATIENCE_MS });
    assert.match(done.stdout, /"results":\[-1,-1\]/);
    await run.until(() => deniedOf(run).length === 2, PATIENCE_MS);
    assert.deepEqual(
      deniedOf(run)
        .map(({ call }) => call)
        .toSorted(),
      ["ptrace", "setns"],
    );
    await run.sandbox.stop(0);
  });

  it("has no way to the mesh's socket, and nonsense there blinds nobody else", async () => {
    const door = testDoor();
    const [victim, other] = [await start(FOREVER, { door }), await start(FOREVER)];
    const path = (door.path ?? "").replace(/door\.sock$/, "denials");
    assert.deepEqual([statSync(path).mode & 0o777, statSync(path).uid], [0o600, process.getuid?.()]);
    const socket = connect(path);
    socket.end("no descriptor");
    await victim.until(() => unwatched(victim), PATIENCE_MS);
    assert.equal(unwatched(other), false);
    // What was handed over before goes on.
    for (const run of [victim, other]) {
      const command = ["/bin/node", "--input-type=module", "--eval", tries(["mount"])];
      await run.sandbox.exec(command, { outputBytesMax: 10_000, timeoutMs: PATIENCE_MS });
      await run.until(() => deniedOf(run).length > 0, PATIENCE_MS);
    }
    await Promise.all([victim, other].map((run) => run.sandbox.stop(0)));
  });

  it("makes a hundred thousand of them: waits for most, is told of in a few words, and holds up nobody", async () => {
    const since = clock.monotonicMs();
    const flood = await start(`import fs from "node:fs"; import { spawn } from "node:child_process";
      import { rawCalls } from "/code/elf.js"; import { forbiddenCalls, forThisMachine } from "/code/raw-calls.js";
      const mount = forThisMachine(forbiddenCalls.mount).slice(0, 1);
      fs.writeFileSync("/data/raw", rawCalls(Array.from({ length: 25_000 }, () => mount)), { mode: 0o755 });
      for (let n = 0; n < 4; n++) spawn("/data/raw").once("exit", () => console.log("done")); ${FOREVER}`);
    await flood.until(() => deniedOf(flood).length > 0, PATIENCE_MS);
    const door = testDoor();
    const neighbour = await start(
      `import http from "node:http"; const ask = () => new Promise((done) => http.get({ socketPath: "/run/cordon/door.sock", path: "/" },
        (answer) => answer.resume().once("end", done))); for (let n = 0; n < 200; n++) await ask(); console.log("served");`,
      { door },
    );
    assert.equal(await neighbour.ended(PATIENCE_MS), "served\n");
    assert.equal(door.requests.length, 200);
    await flood.sandbox.stop(0);
    await flood.ended(PATIENCE_MS);
    const seconds = (clock.monotonicMs() - since) / 1_000;
    const { deniedCallsBurst, deniedCallsPerSecond, deniedWindowMs } = limits.sandbox;
    const answered = deniedOf(flood).reduce((sum, { count }) => sum + count, 0);
    assert.ok(answered >= deniedCallsBurst, `${answered} were answered`);
    assert.ok(answered <= deniedCallsBurst + deniedCallsPerSecond * seconds, `${answered} in ${seconds} s`);
    const windows = Math.ceil((seconds * 1_000) / deniedWindowMs);
    assert.ok(deniedOf(flood).length <= 2 * (windows + 1), `${deniedOf(flood).length} events in ${seconds} s`);
    assert.doesNotMatch(flood.text(), /done/);
    assert.deepEqual(host.leftovers(), []);
  });

  it("leaves nothing with the watcher", () => {
    const folder = `/proc/${watcher()}/fd`;
    const held = readdirSync(folder).map((name) => readlinkSync(join(folder, name)));
    // Its requests and its answers are the only ones that Node has made.
    const left = held.filter((link) => link.startsWith("socket:") || link.includes("seccomp"));
    assert.equal(left.length, 2, held.join(" "));
  });

  it("goes on being refused without the watcher, which is said; the next sandbox has another", async () => {
    const run = await start(
      `process.once("SIGUSR2", async () => { ${tries(["mount", "ptrace"]).replaceAll(
        /import ([^;]*) from ("[^"]*");/g,
        (_, what, from) => `const ${what} = await import(${from});`,
      )} }); console.log("up"); ${FOREVER}`,
    );
    await run.until((_, text) => text.includes("up"), PATIENCE_MS);
    process.kill(watcher(), "SIGKILL");
    await run.until(() => unwatched(run), PATIENCE_MS);
    const host1 = run.events[0]?.type === "started" ? run.events[0].pid : 0;
    execFileSync("kill", ["-USR2", String(host1)]);
    await run.until((_, text) => text.includes("results"), PATIENCE_MS);
    assert.match(run.text(), /"results":\[-38,-38\]/);
    assert.equal(
      run.events.some(({ type }) => type === "exited"),
      false,
    );
    const next = await start(tries(["mount"]));
    await next.ended(PATIENCE_MS);
    assert.deepEqual(
      deniedOf(next).map(({ call }) => call),
      ["mount"],
    );
    assert.equal(unwatched(next), false);
    await run.sandbox.stop(0);
    watcher();
  });
});
