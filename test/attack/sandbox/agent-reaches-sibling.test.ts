import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  openHost,
  runToEnd,
  skipUnlessRoot,
  specOf,
  startWatched,
  testDoor,
  type TestHost,
  type Watched,
} from "../../contract/sandbox-fixture.ts";

/** The victim holds a secret in its memory, files and environment, and listens wherever it can. */
const VICTIM = `import fs from "node:fs"; import net from "node:net";
  fs.writeFileSync("/data/secret", process.env.CANARY); fs.writeFileSync("/tmp/secret", process.env.CANARY);
  net.createServer().listen("\\0victim", () => net.createServer().listen(4444, "0.0.0.0", () => console.log("up")));`;

describe("hostile code reaches for a sibling sandbox", { skip: skipUnlessRoot, timeout: 60_000 }, () => {
  let host: TestHost;
  let victim: Watched;
  const door = testDoor();
  before(async () => {
    host = await openHost();
    victim = await startWatched(host.backend, specOf(VICTIM, { environment: { CANARY: "canary-7f3a" }, door }));
    await victim.until((_, text) => text.includes("up"));
  });
  after(async () => {
    await victim?.sandbox.stop(0);
    await host?.close();
  });
  const attack = (code: string): Promise<string> => runToEnd(host.backend, code);

  it("over its abstract socket and its loopback port", async () => {
    const code = `import net from "node:net"; for (const to of [{ path: "\\0victim" }, { port: 4444, host: "127.0.0.1" }]) {
      const s = net.connect(to); s.on("connect", () => { console.log("connected"); s.destroy() }); s.on("error", (e) => console.log(e.code)); }`;
    assert.equal(await attack(code), "ECONNREFUSED\nECONNREFUSED\n");
  });

  it("through its door, whose path on the host it knows", async () => {
    const code = `import net from "node:net"; const s = net.connect(${JSON.stringify(door.path)});
      s.on("connect", () => console.log("connected")); s.on("error", (e) => console.log(e.code));`;
    assert.equal(await attack(code), "ENOENT\n");
    assert.deepEqual(door.requests, []);
  });

  it("by signal, by process list and by shared memory", async () => {
    const code = `import fs from "node:fs"; const seen = fs.readdirSync("/proc").filter((n) => /^\\d+$/.test(n)).length;
      const own = fs.readdirSync("/proc/self/task").map(Number);
      let killed = 0; for (let pid = 2; pid < 70000; pid++) try { if (!own.includes(pid)) { process.kill(pid, 0); killed++; } } catch {}
      console.log(seen, killed, fs.existsSync("/dev/shm"), fs.existsSync("/dev/mqueue"));`;
    assert.equal(await attack(code), "1 0 false false\n");
    assert.equal(
      victim.events.some((event) => event.type === "exited"),
      false,
    );
  });

  it("by searching every readable file for its secret", async () => {
    const code = `import fs from "node:fs"; import path from "node:path"; let hits = 0, files = 0;
      const walk = (dir, depth) => { if (depth > 6) return; for (const e of fs.readdirSync(dir, { withFileTypes: true })) { const p = path.join(dir, e.name);
        try { if (e.isDirectory()) walk(p, depth + 1); else if (e.isFile() && !/^\\/proc\\/(1|self|thread-self)\\/(task|cmdline)|pagemap|kmsg|\\/mem$|clear_refs/.test(p)) {
          files++; const fd = fs.openSync(p, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK); const b = Buffer.alloc(65536); const n = fs.readSync(fd, b); fs.closeSync(fd);
          if (b.subarray(0, n).includes("canary-" + "7f3a")) hits++; } } catch {} } };
      walk("/", 0); console.log(files > 100, hits);`;
    assert.equal(await attack(code), "true 0\n");
  });

  it("by a file descriptor of the mesh that came along", async () => {
    const code = `import fs from "node:fs"; const links = fs.readdirSync("/proc/self/fd").map((n) => { try { return fs.readlinkSync("/proc/self/fd/" + n) } catch { return "gone" } });
      const known = /^(\\/dev\\/null|pipe:\\[|anon_inode:|gone|\\/proc\\/[0-9]+\\/fd|.*\\/log$)/; console.log(links.filter((l) => !known.test(l)).join() || "none", links.length > 3);`;
    assert.equal(await attack(code), "none true\n");
  });

  it("by answering in its name at the door: the socket is the identity", async () => {
    const mine = testDoor();
    const code = `import http from "node:http"; http.get({ socketPath: "/run/cordon/door.sock", path: "/who" }, (r) => r.resume());`;
    await runToEnd(host.backend, code, { door: mine });
    assert.deepEqual([mine.requests, door.requests], [["/who"], []]);
  });
});
