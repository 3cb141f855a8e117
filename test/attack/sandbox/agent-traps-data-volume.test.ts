/** What an agent leaves in /data for the mesh to follow: nothing of it may be followed, and the next start must work. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openHost, runToEnd, skipUnlessRoot, type TestHost } from "../../contract/sandbox-fixture.ts";

const limits = { memoryBytes: 192 * 1024 ** 2, cpus: 1, pids: 64, diskBytes: 16 * 1024 ** 2 };

describe("hostile code leaves traps in /data", { skip: skipUnlessRoot, timeout: 60_000 }, () => {
  let host: TestHost;
  before(async () => void (host = await openHost()));
  after(() => host?.close());

  it("no device and no FIFO", { skip: process.arch === "x64" ? false : "its machine code is x86-64" }, async () => {
    const code = `import { spawnSync } from "node:child_process"; import fs from "node:fs";
      import { rawCalls } from "/code/elf.js";
      // mknodat(AT_FDCWD, "", S_IFIFO) and S_IFCHR; the path does not matter to a filter.
      fs.writeFileSync("/data/mk", rawCalls([[259, -100, 0, 0o10666, 0], [259, -100, 0, 0o20666, 0x101]], "x64"), { mode: 0o755 });
      const out = spawnSync("/data/mk").stdout; console.log(out.readBigInt64LE(0), out.readBigInt64LE(8));`;
    const codeFolder = new URL("../../../mesh/sandbox/probe", import.meta.url).pathname;
    assert.equal(await runToEnd(host.backend, code, { codeFolder }), "-1n -1n\n");
  });

  it("symbolic and hard links, sockets, deep and strange names survive a change of owner and touch nothing outside", async () => {
    // The bait is the test's own: a defence that fails here must not cost the machine its files.
    const outside = mkdtempSync(join(tmpdir(), "cordon-outside-"));
    const file = join(outside, "mine");
    writeFileSync(file, "untouched", { mode: 0o600 });
    const plant = `import fs from "node:fs"; import net from "node:net";
      for (const [i, to] of [${JSON.stringify(outside)}, ${JSON.stringify(file)}, "loop", "/nonexistent/x"].entries()) fs.symlinkSync(to, "/data/link" + i);
      fs.symlinkSync("loop", "/data/loop"); fs.symlinkSync(${JSON.stringify(outside)}, "/data/lost+found");
      fs.writeFileSync("/data/a", "a"); fs.linkSync("/data/a", "/data/b"); fs.writeFileSync("/data/-rf", ""); fs.writeFileSync("/data/new\\nline", "");
      process.chdir("/data"); for (let i = 0; i < 300; i++) { fs.mkdirSync("d".repeat(100)); process.chdir("d".repeat(100)); }
      net.createServer().listen("/data/socket", () => { console.log("planted"); process.exit(); });`;
    const volume = `traps-${host.installation}`;
    assert.equal(await runToEnd(host.backend, plant, { volume, limits }), "planted\n");
    // Forget who owned it: the next start gives everything inside to its own user.
    rmSync(`${host.stateDir}/volumes/${volume}.json`);
    const look = `import fs from "node:fs"; console.log(fs.lstatSync("/data/link1").uid, fs.lstatSync("/data/a").uid, fs.readdirSync("/data").length); fs.rmSync("/data/a");`;
    assert.equal(await runToEnd(host.backend, look, { volume, limits }), "1000 1000 12\n");
    const info = statSync(file);
    assert.deepEqual([info.uid, info.mode & 0o777, readFileSync(file, "utf8")], [0, 0o600, "untouched"]);
    assert.equal(statSync(outside).uid, 0);
    rmSync(outside, { recursive: true });
  });

  it("a volume left full does not keep the next start from working", async () => {
    const volume = `full-${host.installation}`;
    const fill = `import fs from "node:fs"; let n = 0; try { for (;;) fs.appendFileSync("/data/x", Buffer.alloc(65536)); } catch {} try { for (;;) fs.mkdirSync("/data/" + n++); } catch {} console.log("full");`;
    assert.equal(await runToEnd(host.backend, fill, { volume, limits }), "full\n");
    assert.equal(
      await runToEnd(host.backend, `import fs from "node:fs"; fs.rmSync("/data/x"); console.log("freed")`, {
        volume,
        limits,
      }),
      "freed\n",
    );
  });
});
