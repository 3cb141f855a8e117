import assert from "node:assert/strict";
import fs from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { systemClock as clock } from "../../lib/clock.ts";
import { DockerEngine } from "./docker/engine.ts";
import { unpackEngineImage } from "./rootfs-engine.ts";
import { RootfsTree } from "./rootfs-tree.ts";
import { sha256, tarOf, type Item } from "./testing/archives.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "cordon-engine-"));
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close().closeAllConnections();
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Who answers on an engine's socket may be anybody. */
async function engineThatSends(answer: Buffer, status = 200): Promise<DockerEngine> {
  const socketPath = join(folder, `${servers.length}.sock`);
  const server = createServer((request, response) => {
    if (request.url?.endsWith("/get")) return response.end(answer);
    return response.writeHead(status, { "content-type": "application/json" }).end("{}");
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return new DockerEngine(socketPath, clock);
}

const lower = tarOf([
  { path: "etc/os-release", text: "NAME=other\n" },
  { path: "gone", text: "x" },
]);
const upper = tarOf([{ path: ".wh.gone" }, { path: "etc/new", text: "n" }]);
const config = JSON.stringify({ rootfs: { type: "layers", diff_ids: [sha256(lower), sha256(upper)] } });
const hex = (text: Buffer | string): string => sha256(text).slice("sha256:".length);
const item = (path: string, bytes: Buffer | string): Item => ({ path, text: bytes });
const [first, second] = ["a".repeat(64), "b".repeat(64)];

/** As engines up to 24 write it, and as those after them do. */
const old = (
  parts: { readonly config?: string; readonly lower?: Buffer; readonly layers?: readonly string[] } = {},
) => {
  const layers = parts.layers ?? [`${first}/layer.tar`, `${second}/layer.tar`];
  return [
    item(`${first}/layer.tar`, parts.lower ?? lower),
    item(`${second}/layer.tar`, upper),
    item(`${hex(config)}.json`, parts.config ?? config),
    item("repositories", "{}"),
    item("manifest.json", JSON.stringify([{ Config: `${hex(config)}.json`, RepoTags: null, Layers: layers }])),
  ];
};
const recent = (pack: (tar: Buffer) => Buffer): Item[] => {
  const blobs = [Buffer.from(config), pack(lower), pack(upper)];
  const Layers = blobs.slice(1).map((blob) => `blobs/sha256/${hex(blob)}`);
  return [
    ...blobs.map((blob) => item(`blobs/sha256/${hex(blob)}`, blob)),
    item("manifest.json", JSON.stringify([{ Config: `blobs/sha256/${hex(config)}`, Layers }])),
    item("oci-layout", "{}"),
  ];
};

let count = 0;
async function unpack(items: readonly Item[] | Buffer, status = 200): Promise<string> {
  const draft = join(folder, `draft-${count++}`);
  const root = join(draft, "root");
  fs.mkdirSync(root, { recursive: true });
  const engine = await engineThatSends(Buffer.isBuffer(items) ? items : tarOf(items), status);
  await unpackEngineImage(engine, sha256(config), new RootfsTree(root), draft);
  return root;
}

describe("an image of the engine", () => {
  const linked = [
    ...old().filter(({ path }) => path !== `${second}/layer.tar`),
    { path: `${second}/layer.tar`, type: "2", link: `../${"c".repeat(64)}/layer.tar` },
    item(`${"c".repeat(64)}/layer.tar`, upper),
  ];
  for (const [what, items] of [
    ["of an old engine", old()],
    ["of an old engine, whose layer stands elsewhere", linked],
    ["of a recent engine", recent((tar) => tar)],
    ["of an engine that packs its layers", recent((tar) => gzipSync(tar))],
  ] as const) {
    it(`is unpacked layer by layer: ${what}`, async () => {
      const root = await unpack(items);
      assert.equal(fs.readFileSync(join(root, "etc/os-release"), "utf8"), "NAME=other\n");
      assert.equal(fs.readFileSync(join(root, "etc/new"), "utf8"), "n");
      assert.equal(fs.existsSync(join(root, "gone")), false);
    });
  }

  const forged = tarOf([{ path: "etc/os-release", text: "NAME=forged\n" }]);
  const swapped = config.replace(sha256(lower), sha256(forged));
  for (const [what, items, expected] of [
    ["another layer", old({ lower: forged }), /altered layer/],
    ["another layer and a description that fits it", old({ lower: forged, config: swapped }), /is not what the engine/],
    ["a layer less", old({ layers: [`${first}/layer.tar`] }), /other layers than it has/],
    ["a layer that is not there", old({ layers: [`${first}/layer.tar`, `${"d".repeat(64)}/layer.tar`] }), /lacks/],
    ["a path of the host as a layer", old({ layers: ["../../../etc/passwd", "x"] }), /form that is not known/],
    ["no description", [item("x", "y")], /lacks `manifest.json`/],
    ["half an archive", tarOf(old()).subarray(0, 2_048), /ends too early|lacks/],
  ] as const) {
    it(`is refused with ${what}`, async () => {
      await assert.rejects(unpack(items), expected);
    });
  }

  it("writes nothing outside its draft, whatever the archive says", async () => {
    const before = fs.readdirSync(folder).length;
    const evil = ["../../outside", `${first}/../../outside`, join(folder, "outside")];
    await unpack([...old(), ...evil.map((path) => item(path, "x"))]);
    assert.equal(fs.existsSync(join(folder, "outside")), false);
    assert.equal(fs.readdirSync(folder).length, before + 2, "a draft and a socket");
  });

  it("says so when the engine does not have it", async () => {
    await assert.rejects(unpack(old(), 404), /is not there/);
  });
});
