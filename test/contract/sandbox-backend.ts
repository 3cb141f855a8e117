/** What every sandbox backend must keep. Run it with a backend whose sandboxes can execute `/bin/node`. */
import assert from "node:assert/strict";
import { chmodSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it as test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { type Isolation, SandboxError, type SandboxBackend, type SandboxSpec } from "../../mesh/sandbox/backend.ts";
import { eventually } from "../fleet/running-mesh.ts";
import * as fixture from "./sandbox-fixture.ts";
import { freshId, skipUnlessRoot, startWatched, testDoor } from "./sandbox-fixture.ts";

export interface BackendUnderTest {
  readonly backend: SandboxBackend;
  /** Everything of this backend that is still on the machine; empty when all is gone. */
  leftovers(): readonly string[];
  close(): Promise<void>;
}

/** In what backends differ. Each is asserted as it stands here, so that a difference is known and not passed over. */
export interface Traits {
  readonly isolation: Isolation;
  readonly refused: readonly Isolation[];
  /** Filter and no-new-privileges show in the /proc of the sandbox. */
  readonly showsFence: boolean;
  /** Which signals that end PID 1 show as themselves, and not as the code 128 and their number. */
  readonly tellsSignals: "all" | "those of the host" | "none";
  /** A command of `exec` whose time is up is ended inside; absent: it is. */
  readonly endsLateExec?: boolean;
  /** Whose number the sandbox's user has inside, where there is no user namespace; absent: 1000. */
  readonly user?: "of the host's range";
  /** For the machine on which tests run. */
  readonly skip?: string | false;
  /** What differs from a backend that is held to the whole contract; the rest is that one's. Absent: the whole. */
  readonly only?: RegExp;
}

const FOREVER = "setInterval(() => {}, 1e6);";

export function sandboxContract(name: string, traits: Traits, makeBackend: () => Promise<BackendUnderTest>): void {
  const { isolation, tellsSignals, only = /./ } = traits;
  const it = (what: string, run: () => Promise<void>): void => void (only.test(what) && test(what, run));
  const specOf = (script: string, changes: Partial<SandboxSpec> = {}): SandboxSpec =>
    fixture.specOf(script, { isolation, ...changes });
  const runToEnd = (backend: SandboxBackend, script: string, changes: Partial<SandboxSpec> = {}): Promise<string> =>
    fixture.runToEnd(backend, script, { isolation, ...changes });
  describe(`${name} backend`, { skip: skipUnlessRoot || (traits.skip ?? false), timeout: 120_000 }, () => {
    let host: BackendUnderTest;
    before(async () => void (host = await makeBackend()));
    after(() => host?.close());
    const nothingLeft = (): void => assert.deepEqual(host.leftovers(), []);

    it("has no shortfall for what it builds, and names one for what it cannot and then does not", async () => {
      assert.deepEqual(await host.backend.shortfalls(isolation), []);
      for (const refused of traits.refused) {
        const found = await host.backend.shortfalls(refused);
        assert.ok(found.length > 0 && found.every((s) => s.what !== "" && s.remedy !== ""));
        await assert.rejects(host.backend.start(specOf("", { isolation: refused })), SandboxError);
      }
      nothingLeft();
    });

    it("runs the command as user 1000 with the given environment only", async () => {
      const script = `console.log(JSON.stringify({ uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(),
        env: process.env, cwd: process.cwd(), host: (await import("node:os")).hostname() }))`;
      const seen = JSON.parse(await runToEnd(host.backend, script, { environment: { GREETING: "hello world" } }));
      const uid = traits.user === undefined ? 1000 : seen.uid;
      assert.ok(uid === 1000 || (uid > 0x7000_0000 && uid % 2048 === 1000));
      assert.deepEqual(seen, {
        uid,
        gid: uid,
        groups: [uid],
        env: { GREETING: "hello world", PATH: "/bin", HOME: "/data", TMPDIR: "/tmp" },
        cwd: "/data",
        host: "sandbox",
      });
      nothingLeft();
    });

    it("reports the start and, last, the end with its cause, code or signal", async () => {
      // An abort, because a PID 1 cannot kill itself with a signal that it may ignore; how it shows is the C library's.
      const aborted = tellsSignals === "all" ? /^null SIG(ABRT|TRAP|SEGV|ILL)$/ : /^(132|133|134|139) null$/;
      const ends = { "process.exit(7)": /^7 null$/, "console.log(1)": /^0 null$/, "process.abort()": aborted };
      for (const [script, told] of Object.entries(ends)) {
        const run = await startWatched(host.backend, specOf(script));
        await run.ended();
        assert.equal(run.events[0]?.type, "started");
        const last = run.events.at(-1);
        assert.ok(last?.type === "exited" && last.cause === "ended");
        assert.match(`${last.exitCode} ${last.signal}`, told);
      }
    });

    it("says when a sandbox wants more processor time than its share", async () => {
      // So small that it gets all of it on a machine where everybody wants more, too: else nobody holds it back.
      const limits = { memoryBytes: 192 * MiB, cpus: 0.02, pids: 64, diskBytes: 8 * MiB };
      const run = await startWatched(host.backend, specOf("for (;;);", { limits }));
      try {
        await run.until((events) => events.some((event) => event.type === "cpu_throttled"), 60_000);
      } finally {
        await run.sandbox.stop(0);
      }
    });

    it("opens the sandbox's door inside and closes it at the end", async () => {
      const door = testDoor();
      const script = `import http from "node:http"; http.get({ socketPath: "/run/cordon/door.sock", path: "/hello" },
        (r) => r.on("data", (d) => console.log(String(d))));`;
      assert.equal(await runToEnd(host.backend, script, { door }), "open\n");
      assert.deepEqual(door.requests, ["/hello"]);
      assert.equal(door.closed, true);
    });

    it("keeps /data over restarts under new ids, apart from other volumes, until it is erased", async () => {
      const volume = freshId("vol");
      const write = `import fs from "node:fs"; fs.writeFileSync("/data/note", "kept"); console.log(fs.readdirSync("/data").join())`;
      const read = `import fs from "node:fs"; console.log(fs.existsSync("/data/note") && fs.readFileSync("/data/note", "utf8"))`;
      assert.equal(await runToEnd(host.backend, write, { volume }), "note\n");
      assert.equal(await runToEnd(host.backend, read, { volume }), "kept\n");
      assert.equal(await runToEnd(host.backend, read), "false\n");
      await host.backend.eraseVolume(volume);
      assert.equal(await runToEnd(host.backend, read, { volume }), "false\n");
    });

    it("shows the code folder read-only, and nothing there without one", async () => {
      const script = `import fs from "node:fs"; let w = "written"; try { fs.writeFileSync("/code/x", "") } catch (e) { w = e.code }
        console.log(fs.readdirSync("/code").includes("main.js"), w)`;
      // Below a folder that its owner alone may pass through, as in /root or a home.
      const home = mkdtempSync(join(tmpdir(), "cordon-code-"));
      const codeFolder = join(home, "code");
      // Open to everybody, so that nothing but the mount keeps the sandbox from writing.
      mkdirSync(codeFolder);
      chmodSync(codeFolder, 0o777);
      writeFileSync(join(codeFolder, "main.js"), "");
      try {
        assert.equal(await runToEnd(host.backend, script, { codeFolder }), "true EROFS\n");
        assert.match(await runToEnd(host.backend, script), /^false (EROFS|EACCES)\n$/);
      } finally {
        rmSync(home, { recursive: true });
      }
    });

    it("lets a program open its standard output anew", async () => {
      const script = `import fs from "node:fs"; for (const p of ["/dev/stdout", "/proc/self/fd/2"]) fs.writeFileSync(p, p + "\\n")`;
      const lines = (await runToEnd(host.backend, script)).split("\n").toSorted();
      assert.deepEqual(lines, ["", "/dev/stdout", "/proc/self/fd/2"]);
    });

    it("gives a program outputs that block, each a pipe of the program's own", async () => {
      const script = `import fs from "node:fs"; for (const n of [1, 2]) console.log(/flags:\\s*([0-7]+)/.exec(fs.readFileSync("/proc/self/fdinfo/" + n, "utf8"))[1])`;
      const flags = (await runToEnd(host.backend, script)).trim().split("\n");
      assert.deepEqual(
        flags.map((octal) => Number.parseInt(octal, 8) & constants.O_NONBLOCK),
        [0, 0],
      );
    });

    it("starts and stops many at once, again and again", async () => {
      for (let round = 0; round < 3; round++) {
        const texts = await Promise.all([1, 2, 3].map((n) => runToEnd(host.backend, `console.log(${n})`)));
        assert.deepEqual(texts, ["1\n", "2\n", "3\n"]);
        nothingLeft();
      }
    });

    it("stops: SIGTERM first, SIGKILL after the grace, every process with it", async () => {
      const polite = await startWatched(
        host.backend,
        specOf(`process.on("SIGTERM", () => { console.log("bye"); process.exit(0) }); console.log("up"); ${FOREVER}`),
      );
      await polite.until((_, text) => text.includes("up"));
      await polite.sandbox.stop(5_000);
      assert.equal(await polite.ended(), "up\nbye\n");
      const script = `import { spawn } from "node:child_process"; process.on("SIGTERM", () => {});
        spawn("/bin/node", ["-e", "process.on('SIGTERM',()=>{});setInterval(()=>{},1e6);console.log('child')"], { stdio: "inherit", detached: true }); ${FOREVER}`;
      const stubborn = await startWatched(host.backend, specOf(script));
      await stubborn.until((_, text) => text.includes("child"));
      await stubborn.sandbox.stop(50);
      const killed = tellsSignals === "none" ? { exitCode: 137, signal: null } : { exitCode: null, signal: "SIGKILL" };
      assert.deepEqual(stubborn.events.at(-1), { type: "exited", cause: "stopped", ...killed });
      await stubborn.sandbox.stop(50);
      nothingLeft();
    });

    it("runs an operator's command inside the same fence, bounded in output and time", async () => {
      const run = await startWatched(host.backend, specOf(`console.log("up"); ${FOREVER}`));
      await run.until((_, text) => text.includes("up"));
      const exec = (code: string, bounds = { outputBytesMax: 4096, timeoutMs: 5_000 }) =>
        run.sandbox.exec(["/bin/node", "-e", code], bounds);
      const status = await exec(`const s = require("fs").readFileSync("/proc/self/status", "utf8");
        console.log(process.getuid() % 2048, /CapBnd:\\s*0+$/m.test(s), /CapEff:\\s*0+$/m.test(s), /Seccomp:\\s*2/.test(s), /NoNewPrivs:\\s*1/.test(s)); process.exit(7)`);
      const shown = `1000 true true ${traits.showsFence} ${traits.showsFence}\n`;
      assert.deepEqual(status, { exitCode: 7, stdout: shown, stderr: "", truncated: false });
      const long = await exec(`process.stdout.write("x".repeat(100000))`);
      assert.equal(long.stdout.length, 4096);
      assert.equal(long.truncated, true);
      const slow = await exec("setInterval(() => {}, 1e6)", { outputBytesMax: 10, timeoutMs: 400 });
      assert.deepEqual([slow.exitCode, slow.truncated], [124, true]);
      // The node of the sandbox itself is left: what the time-out ended is gone from the sandbox, too.
      const names = await exec(`console.log(require("fs").readdirSync("/proc").filter((n) => /^\\d+$/.test(n)
        && !/^State:\\s*Z/m.test(require("fs").readFileSync("/proc/" + n + "/status", "utf8"))).length)`);
      assert.equal(names.stdout, traits.endsLateExec === false ? "3\n" : "2\n");
      const usage = await run.sandbox.usage();
      assert.ok(
        usage.memoryBytes > 1e6 && usage.memoryBytes < 192 * 1024 ** 2 && usage.pids >= 1 && usage.cpuUs > 1000,
      );
      await run.sandbox.stop(0);
      await assert.rejects(exec("1"), SandboxError);
    });

    it("lowers the processor share after the start", async () => {
      const limits = { memoryBytes: 192 * 1024 ** 2, cpus: 0.2, pids: 64, diskBytes: 8 * 1024 ** 2 };
      const run = await startWatched(host.backend, specOf(`console.log("up"); for (;;);`, { limits }));
      await run.until((_, text) => text.includes("up"));
      await new Promise((resolve) => setTimeout(resolve, 700));
      const [before, t0] = [(await run.sandbox.usage()).cpuUs, performance.now()];
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const share = ((await run.sandbox.usage()).cpuUs - before) / 1000 / (performance.now() - t0);
      await run.sandbox.stop(0);
      assert.ok(share < 0.3, `used ${share} of a core`);
    });

    it("holds a sandbox back when nobody reads its output, and can still stop it", async () => {
      const sandbox = await host.backend.start(
        specOf(`import fs from "node:fs"; for (;;) fs.writeSync(1, "x".repeat(65536));`),
      );
      // Asks for the first bytes and then takes none of them.
      sandbox.output.on("readable", () => undefined);
      // It may take seconds to come up; a writer that is not held back never comes to rest.
      await eventually("a writer at work", async () => sandbox.output.readableLength >= 65_536 || undefined);
      await eventually("the writer to be held back", async () => {
        const { cpuUs } = await sandbox.usage();
        await new Promise((resolve) => setTimeout(resolve, 300));
        return (await sandbox.usage()).cpuUs - cpuUs < 150_000 || undefined;
      });
      assert.ok(sandbox.output.readableLength < 512 * 1024);
      await sandbox.stop(0);
      nothingLeft();
    });

    it("refuses an id or a volume in use", async () => {
      const spec = specOf(FOREVER);
      const sandbox = await host.backend.start(spec);
      await assert.rejects(host.backend.start({ ...spec, door: testDoor(), volume: freshId("v") }), SandboxError);
      await assert.rejects(host.backend.start({ ...specOf(FOREVER), volume: spec.volume }), SandboxError);
      await assert.rejects(host.backend.eraseVolume(spec.volume), SandboxError);
      await sandbox.stop(0);
    });

    it("undoes everything when a part of the fence fails, and says what to do", async () => {
      const door = testDoor();
      const broken: SandboxSpec = specOf("", { command: ["/bin/absent"], door });
      await assert.rejects(
        host.backend.start(broken),
        (e: unknown) => e instanceof SandboxError && e.remedy !== "" && /absent/.test(e.message),
      );
      assert.equal(door.closed, true);
      nothingLeft();
      const deaf = { listen: () => Promise.reject(new Error("no door")), close: async () => undefined };
      await assert.rejects(
        host.backend.start(specOf("", { door: deaf })),
        (e: unknown) => e instanceof SandboxError && /no door/.test(e.message),
      );
      nothingLeft();
    });

    it("runs nothing before its start is on record, and leaves nothing when that fails", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const script = "console.log(Date.now() - performance.now())";
      const running = runToEnd(host.backend, script, { recorded: promise });
      // Long enough for a start that does not wait.
      await systemClock.sleep(500);
      const recordedMs = Date.now();
      resolve();
      // The two clocks are read one after the other.
      assert.ok(Number(await running) >= recordedMs - 2);
      nothingLeft();
      const failed = Promise.reject(new Error("no room on the disk"));
      await assert.rejects(host.backend.start(specOf("", { recorded: failed })), {
        name: "SandboxError",
        message: /no room on the disk/,
      });
      nothingLeft();
    });

    for (const [what, change] of Object.entries(badSpecs)) {
      it(`refuses ${what} before it builds anything`, async () => {
        await assert.rejects(
          host.backend.start(specOf("", change)),
          (e: unknown) => e instanceof SandboxError && e.remedy !== "" && !/doctor/.test(e.remedy),
        );
        nothingLeft();
      });
    }
  });
}

const MiB = 1024 ** 2;
const fit = { memoryBytes: 192 * MiB, cpus: 1, pids: 64, diskBytes: 8 * MiB };
const badSpecs: Readonly<Record<string, Partial<SandboxSpec>>> = {
  "an id with a path in it": { id: "../etc" },
  "an id with a capital": { id: "Agent" },
  "an over-long id": { id: "a".repeat(200) },
  "a volume with a path in it": { volume: "../../etc/passwd" },
  "a relative command": { command: ["node"] },
  "an empty command": { command: [] },
  "a command with a NUL": { command: ["/bin/node", "a\0b"] },
  "a variable for the loader": { environment: { LD_PRELOAD: "/data/evil.so" } },
  "a variable of the fence": { environment: { PATH: "/data" } },
  "a variable name with `=`": { environment: { "A=B": "1" } },
  "a variable value with a NUL": { environment: { A: "1\0B=2" } },
  "a code folder that does not exist": { codeFolder: "/nonexistent/code" },
  "a relative code folder": { codeFolder: "code" },
  "a code folder that is a file": { codeFolder: "/etc/passwd" },
  "too little memory": { limits: { ...fit, memoryBytes: 1 * MiB } },
  "memory that is no number": { limits: { ...fit, memoryBytes: Number.NaN } },
  "no disk": { limits: { ...fit, diskBytes: 0 } },
  "negative cpus": { limits: { ...fit, cpus: -1 } },
  "unlimited cpus": { limits: { ...fit, cpus: Number.POSITIVE_INFINITY } },
  "no pids": { limits: { ...fit, pids: 0 } },
};
