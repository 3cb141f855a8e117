import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { limits } from "../../../protocol/limits.ts";
import {
  openHost,
  runToEnd,
  skipUnlessRoot,
  specOf,
  startWatched,
  type TestHost,
} from "../../contract/sandbox-fixture.ts";

const MiB = 1024 ** 2;
const small = { memoryBytes: 128 * MiB, cpus: 1, pids: 32, diskBytes: 8 * MiB };

describe("hostile code exhausts the host", { skip: skipUnlessRoot, timeout: 60_000 }, () => {
  let host: TestHost;
  before(async () => void (host = await openHost()));
  after(() => host?.close());

  it("fork bomb: ends at the pids limit, as an event, and the mesh goes on", async () => {
    const code = `import { spawn } from "node:child_process"; let n = 0;
      const go = () => { const c = spawn("/bin/node", ["-e", "setInterval(()=>{},1e6)"], { stdio: "ignore" }); c.on("error", () => {}); if (n++ < 200) setTimeout(go, 5); }; go();`;
    const run = await startWatched(host.backend, specOf(code, { limits: { ...small, memoryBytes: 512 * MiB } }));
    await run.until((events) => events.some((event) => event.type === "pids_exhausted"));
    assert.ok((await run.sandbox.usage()).pids <= 32);
    assert.equal(await runToEnd(host.backend, `console.log("other")`), "other\n");
    await run.sandbox.stop(0);
  });

  it("memory bomb: killed in its own group, with the cause", async () => {
    // It ends by itself at 600 MB: what is not held must not cost the machine its memory.
    const code = `const keep = []; while (keep.length < 75) keep.push(Buffer.alloc(8e6, 1)); console.log("not held");`;
    const run = await startWatched(host.backend, specOf(code, { limits: small }));
    await run.ended();
    assert.ok(run.events.some((event) => event.type === "oom"));
    assert.deepEqual(run.events.at(-1), { type: "exited", cause: "oom", exitCode: null, signal: "SIGKILL" });
  });

  it("memory bomb through /tmp: a full tmpfs or the memory limit, never the host", async () => {
    const code = `import fs from "node:fs"; let n = 0; try { for (;;) { fs.appendFileSync("/tmp/x", Buffer.alloc(1e6, 1)); n++; } } catch (e) { console.log(e.code, n < 70); }`;
    const run = await startWatched(host.backend, specOf(code, { limits: { ...small, memoryBytes: 256 * MiB } }));
    assert.equal(await run.ended(), "ENOSPC true\n");
  });

  it("disk bomb: stops at the volume's size, as an event", async () => {
    const code = `import fs from "node:fs"; let n = 0; const fd = fs.openSync("/data/big", "w"); try { for (;;) n += fs.writeSync(fd, Buffer.alloc(65536, 1)); } catch (e) { console.log(e.code, n < 8 * 1024 * 1024); } setInterval(() => {}, 1e6);`;
    const spec = specOf(code, { limits: small });
    const run = await startWatched(host.backend, spec);
    await run.until((events, text) => events.some((event) => event.type === "disk_full") && text !== "");
    assert.equal(run.text(), "ENOSPC true\n");
    await run.sandbox.stop(0);
    assert.ok(statSync(`${host.stateDir}/volumes/${spec.volume}.img`).size === small.diskBytes);
  });

  it("inode bomb: ends with the volume's inodes", async () => {
    const code = `import fs from "node:fs"; let n = 0; try { for (;;) fs.writeFileSync("/data/" + n++, ""); } catch (e) { console.log(e.code, n < 1000); }`;
    assert.equal(await runToEnd(host.backend, code, { limits: small }), "ENOSPC true\n");
  });

  it("sparse-file bomb: a huge file takes no more than the volume", async () => {
    const code = `import fs from "node:fs"; try { fs.truncateSync(fs.openSync("/data/s", "w"), 2 ** 44); console.log("made"); } catch (e) { console.log(e.code); }`;
    assert.match(await runToEnd(host.backend, code, { limits: small }), /^(made|EFBIG|E\w+)\n$/);
  });

  it("log flood: the writer is slowed to the limit, as an event", async () => {
    const code = `import fs from "node:fs"; for (;;) fs.writeSync(1, "x".repeat(65536));`;
    const run = await startWatched(host.backend, specOf(code, { limits: small }));
    await run.until((events) => events.some((event) => event.type === "log_flood"));
    const [before, t0] = [run.text().length, performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const rate = ((run.text().length - before) * 1000) / (performance.now() - t0);
    await run.sandbox.stop(0);
    assert.ok(rate <= limits.sandbox.logBytesPerSecondMax * 1.6, `${rate} bytes a second`);
  });

  it("open-file bomb: ends at the limit", async () => {
    const code = `import fs from "node:fs"; let n = 0; try { for (;;) { fs.openSync("/dev/null"); n++; } } catch (e) { console.log(e.code, n < ${limits.sandbox.openFilesMax}); }`;
    assert.equal(await runToEnd(host.backend, code), "EMFILE true\n");
  });

  it("core dump: none is written", async () => {
    const code = `import { spawnSync } from "node:child_process"; import fs from "node:fs";
      spawnSync("/bin/node", ["-e", "process.abort()"], { cwd: "/data" }); console.log(fs.readdirSync("/data").join(), fs.readFileSync("/proc/self/limits", "utf8").match(/core file size\\s+(\\d+)\\s+(\\d+)/).slice(1).join());`;
    assert.equal(await runToEnd(host.backend, code), " 0,0\n");
  });
});
