import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { guestRuntime } from "../../protocol/sandbox-paths.ts";
import { ensureGuestRootfs, type RootfsRequest } from "./rootfs-guest.ts";
import { ensureRootfs } from "./rootfs.ts";
import { tarOf, writeImage, type ImageParts, type Item } from "./testing/archives.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "cordon-guest-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
const cacheDir = join(folder, "cache");
let base: string;
before(async () => {
  const projectDir = join(folder, "project");
  fs.mkdirSync(join(projectDir, "agent/init"), { recursive: true });
  fs.writeFileSync(join(projectDir, "agent/init/main.ts"), "export {};\n");
  base = await ensureRootfs({ cacheDir, projectDir, nodePath: process.execPath, clock });
});

let count = 0;
const place = (): string => join(folder, `image-${++count}`);
function image(items: readonly Item[], parts: Partial<ImageParts> = {}): RootfsRequest {
  const at = place();
  writeImage(at, { layers: [tarOf(items)], ...parts });
  return { kind: "image", folder: at };
}
const build = (request: RootfsRequest): Promise<string> => ensureGuestRootfs(request, { cacheDir, clock, base });
const release: Item = { path: "etc/os-release", text: "NAME=other\n" };

describe("what is no file", () => {
  for (const [what, make] of [
    ["a pipe", (path: string) => execFileSync("mkfifo", [path])],
    ["a folder", (path: string) => fs.mkdirSync(path)],
    ["a link", (path: string) => fs.symlinkSync("index.old", path)],
  ] as const) {
    it(`is no part of an image: ${what}`, { timeout: 60_000 }, async () => {
      for (const part of ["index.json", "blob"]) {
        const at = place();
        const [blob = ""] = writeImage(at, { layers: [tarOf([release])] });
        const path = part === "blob" ? join(at, "blobs", "sha256", blob.slice("sha256:".length)) : join(at, part);
        fs.renameSync(path, join(dirname(path), "index.old"));
        make(path);
        await assert.rejects(build({ kind: "image", folder: at }), { name: "SandboxError", message: /lacks/ });
      }
    });
  }

  it("is told by its folder, when its name cannot be read", async () => {
    const at = place();
    fs.mkdirSync(at);
    fs.writeFileSync(Buffer.concat([Buffer.from(`${at}/a`), Buffer.from([0xff])]), "");
    await assert.rejects(build({ kind: "folder", folder: at }), { name: "SandboxError", message: /by its name/ });
  });
});

describe("an image", () => {
  for (const packing of ["", "+gzip", "+zstd"] as const) {
    it(`is unpacked and completed with our runtime (tar${packing})`, async () => {
      const root = await build(image([release, { path: "marker", text: packing }], { packing }));
      assert.equal(fs.readFileSync(join(root, "etc/os-release"), "utf8"), "NAME=other\n");
      assert.equal(fs.readFileSync(join(root, "marker"), "utf8"), packing);
      for (const file of [
        guestRuntime.loader,
        guestRuntime.node,
        "/opt/cordon/agent/init/main.js",
        "/run/cordon/door.sock",
      ])
        assert.ok(fs.lstatSync(join(root, file)).isFile(), file);
      assert.match(fs.readFileSync(join(root, "etc/passwd"), "utf8"), /^agent:x:1000:1000:/m);
      for (const point of ["proc", "sys", "dev", "data", "code", "tmp"])
        assert.ok(fs.lstatSync(join(root, point)).isDirectory(), point);
    });
  }

  it("is the same folder for the same request, and another one for another image", async () => {
    const one = image([release, { path: "a", text: "1" }]);
    assert.equal(await build(one), await build(one));
    const [first, second] = await Promise.all([build(one), build(one)]);
    assert.equal(first, second);
    assert.notEqual(await build(image([release, { path: "a", text: "2" }])), first);
    assert.match(basename(first), /^guest-[0-9a-f]{32}$/);
    assert.deepEqual(
      fs.readdirSync(cacheDir).filter((name) => name.startsWith("building-")),
      [],
    );
  });

  it("is not built anew for another runtime: its files are shared, ours are not", async () => {
    const request = image([release, { path: "etc/hosts", text: "theirs" }, { path: "link", type: "2", link: "etc" }]);
    const first = await build(request);
    const projectDir = join(folder, "other-project");
    fs.mkdirSync(join(projectDir, "agent/init"), { recursive: true });
    fs.writeFileSync(join(projectDir, "agent/init/main.ts"), "export const other = 1;\n");
    const other = await ensureRootfs({ cacheDir, projectDir, nodePath: process.execPath, clock });
    fs.rmSync((request as { folder: string }).folder + "/blobs", { recursive: true });
    await assert.rejects(ensureGuestRootfs(request, { cacheDir, clock, base: other }), { name: "SandboxError" });
    writeImage((request as { folder: string }).folder, {
      layers: [tarOf([release, { path: "etc/hosts", text: "theirs" }, { path: "link", type: "2", link: "etc" }])],
    });
    const second = await ensureGuestRootfs(request, { cacheDir, clock, base: other });
    assert.notEqual(first, second);
    const inode = (root: string, path: string): number => fs.lstatSync(join(root, path)).ino;
    assert.equal(inode(first, "etc/os-release"), inode(second, "etc/os-release"));
    assert.match(fs.readFileSync(join(second, "opt/cordon/agent/init/main.js"), "utf8"), /other/);
    assert.doesNotMatch(fs.readFileSync(join(first, "opt/cordon/agent/init/main.js"), "utf8"), /other/);
    assert.equal(fs.readlinkSync(join(second, "link")), "etc");
  });

  it("brings no resolver, and no link in the place of our files", async () => {
    const outside = join(folder, "outside");
    fs.mkdirSync(outside);
    fs.writeFileSync(join(outside, "file"), "untouched");
    const root = await build(
      image([
        { path: "etc/resolv.conf", text: "nameserver 192.0.2.1\n" },
        { path: "etc/passwd", type: "2", link: join(outside, "file") },
        ...["opt", "run", "data", "dev", "tmp"].map((path) => ({ path, type: "2", link: outside })),
      ]),
    );
    assert.equal(fs.existsSync(join(root, "etc/resolv.conf")), false);
    assert.deepEqual(
      [fs.readdirSync(outside), fs.readFileSync(join(outside, "file"), "utf8")],
      [["file"], "untouched"],
    );
    assert.ok(fs.lstatSync(join(root, "opt/cordon/runtime")).isDirectory());
  });

  it("is refused when a blob was altered or is missing, whatever its name says", async () => {
    for (const spoil of [
      (blob: string) => fs.writeFileSync(blob, tarOf([{ path: "evil" }])),
      (blob: string) => fs.truncateSync(blob, fs.statSync(blob).size - 1),
      (blob: string) => fs.rmSync(blob),
      (blob: string) => {
        fs.renameSync(blob, `${blob}.moved`);
        fs.symlinkSync(`${blob}.moved`, blob);
      },
    ]) {
      for (const which of ["layer", "config"]) {
        const at = place();
        const [layer = ""] = writeImage(at, { layers: [tarOf([release, { path: `n${count}` }])], packing: "" });
        const blobs = join(at, "blobs/sha256");
        const config = fs
          .readdirSync(blobs)
          .find((name) => fs.readFileSync(join(blobs, name), "latin1").includes("diff_ids"));
        spoil(join(blobs, which === "layer" ? layer.slice("sha256:".length) : (config ?? "")));
        await assert.rejects(build({ kind: "image", folder: at }), { name: "SandboxError" });
      }
    }
  });

  it("is refused when one letter of its documents was changed", async () => {
    const at = place();
    writeImage(at, { layers: [tarOf([release, { path: "letter" }])] });
    const blobs = join(at, "blobs/sha256");
    const config = fs
      .readdirSync(blobs)
      .find((name) => fs.readFileSync(join(blobs, name), "latin1").includes("diff_ids"));
    const file = join(blobs, config ?? "");
    fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace('"os":"linux"', '"os":"Linux"'));
    await assert.rejects(build({ kind: "image", folder: at }), /altered blob/);
  });

  it("is refused when it is for another machine, when its layers unpack to something else, or when it is none", async () => {
    await assert.rejects(build(image([release], { architecture: "s390x" })), /nothing for linux/);
    await assert.rejects(build(image([release], { diffIds: [`sha256:${"0".repeat(64)}`] })), /altered/);
    await assert.rejects(build(image([release], { diffIds: [] })), /number of layers/);
    await assert.rejects(build({ kind: "image", folder: dirname(base) }), /lacks `oci-layout`/);
  });

  it("leaves nothing behind when it is refused", () => {
    assert.deepEqual(
      fs.readdirSync(cacheDir).filter((name) => !/^(?:guest|rootfs|request)-/.test(name)),
      [],
    );
  });
});

describe("a folder", () => {
  it("is copied with its links as they are, without set-uid, and under the name of its content", async () => {
    const from = join(folder, "tree");
    fs.mkdirSync(join(from, "etc"), { recursive: true });
    fs.writeFileSync(join(from, "etc/os-release"), "NAME=tree\n");
    fs.writeFileSync(join(from, "su"), "");
    fs.chmodSync(join(from, "su"), 0o4755);
    fs.symlinkSync(join(folder, "cache"), join(from, "link"));
    const request: RootfsRequest = { kind: "folder", folder: from };
    const first = await build(request);
    assert.equal(await build(request), first);
    assert.equal(fs.readlinkSync(join(first, "link")), join(folder, "cache"));
    assert.equal(fs.statSync(join(first, "su")).mode & 0o7777, 0o755);
    fs.writeFileSync(join(from, "etc/os-release"), "NAME=Tree\n");
    assert.notEqual(await build(request), first);
  });
});
