import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { readTar } from "./rootfs-tar.ts";
import { RootfsTree } from "./rootfs-tree.ts";
import { tarOf, type Item } from "./testing/archives.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "cordon-tree-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
/** Stands for the host: whatever gets here got out. */
let outside: string;
let root: string;
let count = 0;

beforeEach(() => {
  outside = join(folder, `outside-${++count}`);
  root = join(folder, `root-${count}`);
  fs.mkdirSync(outside);
  fs.mkdirSync(root);
  fs.writeFileSync(join(outside, "mine"), "untouched", { mode: 0o600 });
});

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(layers: readonly (readonly Item[])[], pieceBytes = 1000): Promise<RootfsTree> {
  const tree = new RootfsTree(root);
  for (const items of layers) {
    tree.nextLayer();
    await readTar(pieces(tarOf(items), pieceBytes), (entry, content) => tree.add(entry, content));
  }
  return tree;
}

const untouched = (): void => {
  assert.deepEqual(fs.readdirSync(outside), ["mine"]);
  const info = fs.statSync(join(outside, "mine"));
  assert.deepEqual(
    [fs.readFileSync(join(outside, "mine"), "utf8"), info.mode & 0o7777, info.nlink],
    ["untouched", 0o600, 1],
  );
};
const refused = (layers: readonly (readonly Item[])[]): Promise<void> =>
  assert.rejects(unpack(layers), { name: "SandboxError" });

describe("an archive", () => {
  it("becomes files, folders and links, whatever the size of the pieces it comes in", async () => {
    for (const size of [1, 7, 512, 100_000]) {
      fs.rmSync(root, { recursive: true });
      fs.mkdirSync(root);
      const long = `deep/${"n".repeat(120)}`;
      const record = `path=${long}\n`;
      const pax = `${record.length + 4} ${record}`;
      await unpack(
        [
          [
            { path: "./etc/", type: "5", mode: 0o755 },
            { path: "./etc/a", text: "A".repeat(700), mode: 0o640 },
            { path: "link", type: "2", link: "etc/a" },
            { path: "hard", type: "1", link: "etc/a" },
            { path: "x", type: "x", text: pax },
            { path: "short", text: "long name" },
          ],
        ],
        size,
      );
      assert.equal(fs.readFileSync(join(root, "hard"), "utf8"), "A".repeat(700));
      assert.equal(fs.readlinkSync(join(root, "link")), "etc/a");
      assert.equal(fs.statSync(join(root, "etc/a")).mode & 0o777, 0o640);
      assert.equal(fs.readFileSync(join(root, long), "utf8"), "long name");
    }
  });

  it("loses set-uid, set-gid, devices and pipes", async () => {
    await unpack([
      [
        { path: "su", mode: 0o6755 },
        { path: "null", type: "3" },
        { path: "pipe", type: "6" },
        { path: "dir", type: "5", mode: 0o2777 },
      ],
    ]);
    assert.deepEqual(fs.readdirSync(root).toSorted(), ["dir", "su"]);
    assert.equal(fs.statSync(join(root, "su")).mode & 0o7777, 0o755);
    assert.equal(fs.statSync(join(root, "dir")).mode & 0o7777, 0o777);
  });

  it("hides what whiteouts name in lower layers, and nothing of its own", async () => {
    await unpack([
      [{ path: "a/1" }, { path: "a/2" }, { path: "b/1" }],
      [{ path: "a/.wh.1" }, { path: "b/new" }, { path: "b/.wh..wh..opq" }, { path: "c" }, { path: ".wh.c" }],
    ]);
    assert.deepEqual([fs.readdirSync(join(root, "a")), fs.readdirSync(join(root, "b"))], [["2"], ["new"]]);
    assert.ok(fs.existsSync(join(root, "c")));
  });
});

describe("a hostile archive", () => {
  it("writes through an absolute link only inside the root", async () => {
    await unpack([
      [
        { path: "out", type: "2", link: outside },
        { path: "out/mine", text: "overwritten" },
        { path: "out/new", text: "new" },
        { path: "deep/out", type: "2", link: outside },
        { path: "deep/out/deeper", text: "deeper" },
      ],
    ]);
    untouched();
    assert.equal(fs.readFileSync(join(root, outside, "new"), "utf8"), "new");
    assert.equal(fs.readFileSync(join(root, outside, "deeper"), "utf8"), "deeper");
  });

  it("climbs no further than the root, over links of its own", async () => {
    const up = "../".repeat(20);
    await unpack([
      [
        { path: "up", type: "2", link: `${up}${outside.slice(1)}` },
        { path: "up/new", text: "new" },
        { path: "a/b", type: "2", link: ".." },
        { path: "a/b/b2", type: "2", link: `${up}..` },
        { path: `b2/${outside.slice(1)}/other`, text: "x" },
      ],
    ]);
    untouched();
  });

  it("replaces a link that stands in a file's place and leaves its target alone", async () => {
    await unpack([
      [{ path: "etc/passwd", type: "2", link: join(outside, "mine") }],
      [{ path: "etc/passwd", text: "root" }],
    ]);
    untouched();
    assert.ok(fs.lstatSync(join(root, "etc/passwd")).isFile());
  });

  it("changes no mode through a link", async () => {
    await unpack([
      [
        { path: "d", type: "2", link: outside },
        { path: "d", type: "5", mode: 0o777 },
      ],
    ]);
    untouched();
  });

  it("takes away nothing through a link, by whiteout or by replacing", async () => {
    await unpack([
      [{ path: "d", type: "2", link: outside }],
      [{ path: "d/.wh.mine" }, { path: "d/.wh..wh..opq" }, { path: ".wh.d" }],
    ]);
    untouched();
  });

  it("gives our own files no way through its links", async () => {
    const tree = await unpack([
      [
        { path: "etc", type: "2", link: outside },
        { path: "opt", type: "2", link: outside },
        { path: "passwd", type: "2", link: join(outside, "mine") },
      ],
    ]);
    assert.equal(tree.read("passwd"), "");
    assert.equal(tree.read("etc/mine"), "");
    tree.put("etc/mine", "ours");
    tree.realFolder("opt/cordon");
    tree.remove("etc/other");
    untouched();
    assert.ok(fs.lstatSync(join(root, "opt")).isDirectory());
  });

  const bad: Readonly<Record<string, readonly Item[]>> = {
    "an absolute path": [{ path: "/etc/x" }],
    "a path that climbs": [{ path: "a/../../x" }],
    "a hard link that climbs": [{ path: "h", type: "1", link: "../mine" }],
    "a hard link to an absolute path": [{ path: "h", type: "1", link: "/etc/passwd" }],
    "a hard link to a folder": [
      { path: "d", type: "5" },
      { path: "h", type: "1", link: "d" },
    ],
    "a hard link to a link": [
      { path: "l", type: "2", link: "x" },
      { path: "h", type: "1", link: "l" },
    ],
    "links in a circle": [{ path: "a", type: "2", link: "b" }, { path: "b", type: "2", link: "a" }, { path: "a/x" }],
    "a file in a folder's place": [{ path: "a" }, { path: "a/b" }],
    "a whiteout without a name": [{ path: ".wh.." }],
    "a whiteout of the folder above": [{ path: "a/.wh..." }],
    "a kind that nobody knows": [{ path: "a", type: "S" }],
    "a malformed extended header": [{ path: "a", type: "x", text: "99 path=a\n" }],
    "a path that is too deep": [
      { path: "x", type: "L", text: `${"a/".repeat(limits.rootfs.pathDepthMax + 1)}b` },
      { path: "s" },
    ],
  };
  for (const [what, items] of Object.entries(bad)) {
    it(`is refused for ${what}`, async () => {
      await refused([items]);
      untouched();
    });
  }

  it("is refused for what its headers announce, before any of it is read", async () => {
    const { fileBytesMax, headerBytesMax } = limits.rootfs;
    await assert.rejects(unpack([[{ path: "a", size: fileBytesMax + 1 }]]), /a file in it is too large/);
    await assert.rejects(unpack([[{ path: "a", type: "L", size: headerBytesMax + 1 }]]), /a header in it is too large/);
  });

  it("is refused when all of it together is too large", async () => {
    const tree = new RootfsTree(root);
    const half = Math.ceil(limits.rootfs.bytesMax / 2) + 1;
    const entry = { path: "a", kind: "folder", mode: 0o755, bytes: half, link: "" } as const;
    await tree.add(entry, pieces(Buffer.alloc(0), 1));
    await assert.rejects(tree.add({ ...entry, path: "b" }, pieces(Buffer.alloc(0), 1)), /too large/);
  });

  it("is refused when a header was altered, when it is cut short, and when much follows its end", async () => {
    const good = tarOf([{ path: "a", text: "hello" }]);
    const altered = Buffer.from(good);
    altered[0] = "b".charCodeAt(0);
    const long = Buffer.concat([good, Buffer.alloc(limits.rootfs.headerBytesMax + 1024)]);
    for (const bytes of [altered, good.subarray(0, 514), good.subarray(0, 300), long]) {
      const take = async (_: unknown, content: AsyncIterable<Buffer>): Promise<void> => {
        for await (const piece of content) void piece;
      };
      await assert.rejects(readTar(pieces(bytes, 4096), take), { name: "SandboxError" });
    }
  });
});
