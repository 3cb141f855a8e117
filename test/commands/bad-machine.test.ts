/** A machine that cannot do what is asked: no runtime, no root, no port, no space. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { readState } from "../fleet/doomed-mesh.ts";
import { tracesOf } from "../fleet/host-traces.ts";
import { echoFleet, openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const NOBODY = 65_534;
let home: Home;
before(() => {
  home = openHome(echoFleet("machine"));
});
after(() => home.close());

test("without an OCI runtime: what is missing, and how to get it", async () => {
  const runtimes: string[] = [];
  // In a mount namespace of their own these files are no programs.
  const hide = 'for file in $HIDE; do mount --bind /dev/null "$file"; done; exec "$@"';
  const first = await findRuntime("/usr/bin");
  assert.ok(first !== null, "the machine of this test has a runtime to hide");
  for (const folder of ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    for (const name of ["runc", "crun"]) if (existsSync(join(folder, name))) runtimes.push(join(folder, name));
  const under = ["unshare", "--mount", "env", `HIDE=${runtimes.join(" ")}`, "sh", "-c", hide, "sh"];
  assertFails(await home.cordon(["up", "-d"], { under }), /no OCI runtime \(runc or crun\)/, /apt-get install runc/);
  const doctor = await home.cordon(["doctor"], { under });
  assert.equal(doctor.code, 1);
  assert.match(doctor.stdout, /no OCI runtime[^]*apt-get install runc/);
});

test("not as root: says that and nothing else is missing", async (t) => {
  const project = new URL("../..", import.meta.url).pathname;
  const readable = (path: string): boolean => {
    try {
      const look = `require("node:fs").accessSync(${JSON.stringify(path)}, 4)`;
      execFileSync(process.execPath, ["-e", look], { uid: NOBODY, gid: NOBODY, stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  };
  if (!readable(join(project, "user/cli/main.ts"))) return t.skip("the checkout stands where other users cannot read");
  mkdirSync(join(home.folder, "theirs"));
  chownSync(join(home.folder, "theirs"), NOBODY, NOBODY);
  const run = await home.cordon(["up", "-d", "--state", "theirs/state"], { uid: NOBODY });
  assertFails(run, /not running as root/, /`sudo`/);
  assert.doesNotMatch(run.stderr, /EACCES|ensureRootfs/);
  const doctor = await home.cordon(["doctor"], { uid: NOBODY });
  assert.equal(doctor.code, 1);
  assert.match(doctor.stdout, /not running as root/);
});

test("a port that is taken, an address that is not this machine's own, and none at all", async () => {
  const other: Server = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  assertFails(await home.cordon(["up", "-d", "--listen", taken]), /is in use/, /choose another with `--listen`/);
  const installation = readState(home.state, ({ meta }) => meta.get("installation") ?? "");
  assert.deepEqual(tracesOf(installation, home.state), [], "nothing of the start is left");
  assertFails(await home.cordon(["up", "--listen", taken]), /is in use/, /choose another with `--listen`/);
  other.close();
  assertFails(await home.cordon(["up", "-d", "--listen", "0.0.0.0:7717"]), /not a loopback address/, /127\.0\.0\.1/);
  assertFails(await home.cordon(["up", "-d", "--listen", "7717"]), /not HOST:PORT/, /127\.0\.0\.1:7717/);
  assertDone(await home.cordon(["up", "-d", "--listen", taken]));
  assertDone(await home.cordon(["down"]));
});

test("a full disk ends the mesh with a word, and what was acknowledged is there when there is room again", async () => {
  const state = join(home.folder, "small");
  const words = (...more: string[]): string[] => [...more, "--state", "small"];
  mkdirSync(state, { mode: 0o700 });
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", state]);
  try {
    assertDone(await home.cordon(words("up", "-d")));
    assert.equal(assertDone(await home.cordon(words("chat", "assistant", "-m", "before"))), "before\n");
    const before = assertDone(await home.cordon(words("costs", "--json")));
    try {
      writeFileSync(join(state, "filler"), Buffer.alloc(64 * 1024 * 1024));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
    let failed = 0;
    for (let n = 0; n < 4; n++) {
      const run = await home.cordon(words("chat", "assistant", "-m", "x".repeat(60_000), "--timeout", "5"));
      if (run.code === 0) continue;
      failed++;
      assertFails(run, /inside the mesh|no mesh is running|broke off/, /./);
    }
    assert.ok(failed > 0, "the disk was full");
    assertFails(await home.cordon(words("up", "-d")), /no space left|ENOSPC/, /free some space/);
    rmSync(join(state, "filler"));
    assertDone(await home.cordon(words("up", "-d")));
    const now = JSON.parse(assertDone(await home.cordon(words("costs", "--json")))) as typeof totals;
    const totals = JSON.parse(before) as { totals: { calls: number }[] };
    assert.ok((now.totals[0]?.calls ?? 0) >= (totals.totals[0]?.calls ?? Infinity), "no call is forgotten");
    assert.match(assertDone(await home.cordon(words("audit", "verify"))), /^intact/);
    assertDone(await home.cordon(words("down")));
  } finally {
    await home.cordon(words("down"));
    execFileSync("umount", ["--lazy", state]);
  }
});
