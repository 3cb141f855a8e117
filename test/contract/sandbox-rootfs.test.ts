/** Our PID 1 and a guest in a root file system that holds none of our libraries. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { firstProcess } from "../../mesh/fleet/first-process.ts";
import { ensureGuestRootfs } from "../../mesh/sandbox/rootfs-guest.ts";
import { ensureRootfs } from "../../mesh/sandbox/rootfs.ts";
import { tarOf, writeImage } from "../../mesh/sandbox/testing/archives.ts";
import { guestRuntime } from "../../protocol/sandbox-paths.ts";
import {
  buildRootfs,
  openHost,
  projectDir,
  skipUnlessRoot,
  specOf,
  startWatched,
  type TestHost,
} from "./sandbox-fixture.ts";

const script = `
const fs = require("fs");
const write = (path) => { try { fs.writeFileSync(path, "x"); return "written"; } catch (error) { return error.code; } };
console.log(JSON.stringify({
  release: fs.readFileSync("/etc/os-release", "utf8"),
  uid: process.getuid(),
  root: write("/etc/x"), runtime: write("${guestRuntime.node}"), data: write("/data/x"),
  resolver: fs.existsSync("/etc/resolv.conf"),
  path: process.env.PATH, url: process.env.OPENAI_BASE_URL,
}));
`;

describe("an image without Node", { skip: skipUnlessRoot, timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "cordon-image-"));
  let host: TestHost;
  before(async () => void (host = await openHost()));
  after(async () => {
    await host?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("runs its command as a child of our PID 1, on a root that nobody can write", async () => {
    const cacheDir = dirname(await buildRootfs());
    const base = await ensureRootfs({ cacheDir, projectDir, nodePath: process.execPath, clock });
    writeImage(folder, { layers: [tarOf([{ path: "etc/os-release", text: "NAME=none of ours" }])] });
    const rootfs = await ensureGuestRootfs({ kind: "image", folder }, { cacheDir, clock, base });
    // The guest itself is a program that the image does not have, either: Node, by its own loader.
    const guest = [guestRuntime.loader, "--library-path", guestRuntime.libraries, guestRuntime.node, "-e", script];
    const command = firstProcess({ command: guest, rootfs: { kind: "image", folder } });
    const run = await startWatched(host.backend, specOf("", { command, rootfs }));
    await run.until((_, text) => /guest.exited/.test(text), 30_000);
    const line = run
      .text()
      .split("\n")
      .find((each) => each.includes("release"));
    assert.deepEqual(JSON.parse(line ?? "null"), {
      ...{ release: "NAME=none of ours", uid: 1000, root: "EROFS", runtime: "EROFS", data: "written", resolver: false },
      path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      url: "http://127.0.0.1:7070/openai/v1",
    });
    await run.sandbox.stop(0);
  });
});
