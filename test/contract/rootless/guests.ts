/** Run by an ordinary user, inside his namespace (see sandbox-rootless.test.ts): root file systems that are not ours. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import { firstProcess } from "../../../mesh/fleet/first-process.ts";
import { SandboxError } from "../../../mesh/sandbox/backend.ts";
import { ensureGuestRootfs, type RootfsRequest } from "../../../mesh/sandbox/rootfs-guest.ts";
import { ensureRootfs } from "../../../mesh/sandbox/rootfs.ts";
import { tarOf, writeImage } from "../../../mesh/sandbox/testing/archives.ts";
import { guestRuntime } from "../../../protocol/sandbox-paths.ts";
import { buildRootfs, openHost, projectDir, specOf, startWatched, type TestHost } from "../sandbox-fixture.ts";

const script = `
const fs = require("fs");
const write = (path) => { try { fs.writeFileSync(path, "x"); return "written"; } catch (error) { return error.code; } };
console.log(JSON.stringify({ release: fs.readFileSync("/etc/os-release", "utf8"), root: write("/etc/x"), data: write("/data/x"),
  owner: fs.statSync("/etc/os-release").uid === process.getuid() }));
`;

describe("guests of an ordinary user", { timeout: 240_000 }, () => {
  let host: TestHost;
  const folder = mkdtempSync(join(tmpdir(), "cordon-guest-"));
  before(async () => void (host = await openHost()));
  after(() => host?.close());
  const built = async (request: RootfsRequest): Promise<string> => {
    const cacheDir = dirname(await buildRootfs());
    const base = await ensureRootfs({ cacheDir, projectDir, nodePath: process.execPath, clock });
    return ensureGuestRootfs(request, { cacheDir, clock, base });
  };
  const told = async (request: RootfsRequest): Promise<unknown> => {
    const guest = [guestRuntime.loader, "--library-path", guestRuntime.libraries, guestRuntime.node, "-e", script];
    const command = firstProcess({ command: guest, rootfs: request });
    const run = await startWatched(host.backend, specOf("", { command, rootfs: await built(request) }));
    await run.until((_, text) => /guest.exited/.test(text), 60_000);
    await run.sandbox.stop(0);
    const line = run.text().split("\n");
    return JSON.parse(line.find((each) => each.includes("release")) ?? "null");
  };

  it("stand on an OCI layout", async () => {
    const image = join(folder, "image");
    mkdirSync(image);
    writeImage(image, { layers: [tarOf([{ path: "etc/os-release", text: "an image" }])] });
    const expected = { release: "an image", root: "EROFS", data: "written", owner: false };
    assert.deepEqual(await told({ kind: "image", folder: image }), expected);
  });

  it("stand on a folder of his", async () => {
    const root = join(folder, "root");
    mkdirSync(join(root, "etc"), { recursive: true });
    writeFileSync(join(root, "etc/os-release"), "a folder");
    const expected = { release: "a folder", root: "EROFS", data: "written", owner: false };
    assert.deepEqual(await told({ kind: "folder", folder: root }), expected);
  });

  it("stand on no image of an engine that he may not ask", async () => {
    const request = { kind: "engine", digest: `sha256:${"0".repeat(64)}` } as const;
    await assert.rejects(built(request), (error) => error instanceof SandboxError && /engine/i.test(error.message));
  });

  // From the machine's own archive: some seconds of a good line.
  const skip = process.env["CORDON_ROOTLESS"] !== "long";
  it("stand on packages, whose scripts have his rights and no more", { skip }, async () => {
    const request = { kind: "packages", names: ["hello"] } as const;
    const command = firstProcess({ command: ["/usr/bin/hello"], rootfs: request });
    const run = await startWatched(host.backend, specOf("", { command, rootfs: await built(request) }));
    await run.until((_, text) => /guest.exited/.test(text), 60_000);
    await run.sandbox.stop(0);
    assert.match(run.text(), /^Hello, world!$/m);
  });
});
