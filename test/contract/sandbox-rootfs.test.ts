/** Our PID 1 and a guest in a root file system that holds none of our libraries. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { firstProcess } from "../../mesh/fleet/first-process.ts";
import { ensureGuestRootfs } from "../../mesh/sandbox/rootfs-guest.ts";
import { ensureRootfs } from "../../mesh/sandbox/rootfs.ts";
import { tarOf, writeImage } from "../../mesh/sandbox/testing/archives.ts";
import type { SandboxBackend } from "../../mesh/sandbox/backend.ts";
import { createDockerBackend } from "../../mesh/sandbox/docker/backend.ts";
import { guestRuntime } from "../../protocol/sandbox-paths.ts";
import { skipWithoutDocker, startEngine } from "./dockerd.ts";
import { buildRootfs, freshId, openHost, projectDir, skipUnlessRoot, specOf, startWatched } from "./sandbox-fixture.ts";

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

const skipWithout = (program: string): string | false =>
  spawnSync("which", [program]).status === 0 ? false : `${program} is not installed`;

interface Place {
  readonly backend: SandboxBackend;
  close(): Promise<void>;
}

async function openDocker(): Promise<Place> {
  const engine = await startEngine();
  const stateDir = mkdtempSync(join(tmpdir(), "cordon-state-"));
  const installation = freshId("t").slice(2, 10);
  const { socketPath } = engine;
  const rootfs = await buildRootfs();
  const backend = createDockerBackend({ installation, stateDir, rootfs, socketPath, clock, id: randomId });
  const close = async (): Promise<void> => {
    await backend.sweep();
    await engine.close();
    rmSync(stateDir, { recursive: true, force: true });
  };
  return { backend, close };
}

for (const [name, isolation, open, skip] of [
  ["runc", "container", (): Promise<Place> => openHost(), skipUnlessRoot],
  ["gVisor", "gvisor", (): Promise<Place> => openHost(), skipUnlessRoot || skipWithout("runsc")],
  ["docker", "container", openDocker, skipWithoutDocker],
] as const) {
  describe(`an image without Node, by ${name}`, { skip, timeout: 120_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), "cordon-image-"));
    let place: Place;
    before(async () => void (place = await open()));
    after(async () => {
      await place?.close();
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
      const run = await startWatched(place.backend, specOf("", { command, rootfs, isolation }));
      await run.until((_, text) => /guest.exited/.test(text), 60_000);
      const line = run
        .text()
        .split("\n")
        .find((each) => each.includes("release"));
      const { uid, resolver, ...told } = JSON.parse(line ?? "null") as Readonly<Record<string, unknown>>;
      // gVisor looks at the permissions first.
      const closed = isolation === "gvisor" ? "EACCES" : "EROFS";
      assert.deepEqual(told, {
        ...{ release: "NAME=none of ours", root: closed, runtime: closed, data: "written" },
        path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        url: "http://127.0.0.1:7070/openai/v1",
      });
      assert.notEqual(uid, 0);
      // A docker engine writes a resolver's address into every container; there is no network to reach it by.
      assert.equal(resolver, name === "docker");
      await run.sandbox.stop(0);
    });
  });
}
