import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import { readTar, type TarEntry } from "./rootfs-tar.ts";
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

const kinds: Readonly<Record<string, TarEntry["kind"]>> = {
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "5": "folder",
};

/** Each file of `l1` is thousands of looks away. */
const wayRound: readonly Item[] = [
  { path: "x", type: "5" },
  ...["x", "l0", "l1"].flatMap((end, n) => [
    { path: "x", type: "K", text: `${"x/../".repeat(300)}${end}` },
    { path: `l${n}`, type: "2" },
  ]),
  { path: "l2/f" },
];

function sumUp(header: Buffer): void {
  header.fill(" ", 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0`, 148, "latin1");
}

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

  it("is not looked at again for each time it says that a folder hides what was below", async () => {
    const tree = await unpack([
      [{ path: "d/lower" }],
      [{ path: "d/new" }, { path: "d/.wh..wh..opq" }, { path: "d/later" }, { path: "d/.wh..wh..opq" }],
    ]);
    assert.deepEqual(fs.readdirSync(join(root, "d")).toSorted(), ["later", "new"]);
    // What somebody else puts there is the only sign of a look.
    fs.writeFileSync(join(root, "d", "unseen"), "");
    const entry = { path: "d/.wh..wh..opq", kind: "file", mode: 0, bytes: 0, link: "" } as const;
    await tree.add(entry, pieces(Buffer.alloc(0), 1));
    assert.ok(fs.existsSync(join(root, "d", "unseen")));
    tree.nextLayer();
    await tree.add(entry, pieces(Buffer.alloc(0), 1));
    assert.deepEqual(fs.readdirSync(join(root, "d")), []);
  });

  it("never leaves the root, whatever its entries are and in whichever order", async () => {
    const name = fc.constantFrom("a", "b", "c");
    const path = fc.array(fc.oneof(name, fc.constant(".")), { minLength: 1, maxLength: 4 }).map((all) => all.join("/"));
    const link = fc.oneof(
      fc.array(fc.oneof(name, fc.constant("..")), { maxLength: 5 }).map((all) => all.join("/")),
      fc.constantFrom(...["OUT", "OUT/mine", `${"../".repeat(30)}OUT`, "OUT/../OUT", "", "a\u0000b"]),
    );
    const item = fc.record({
      path: fc.oneof(
        { weight: 6, arbitrary: path },
        { weight: 1, arbitrary: path.map((at) => at.replace(/[^/]+$/, ".wh..wh..opq")) },
        { weight: 1, arbitrary: path.map((at) => at.replace(/[^/]+$/, ".wh.$&")) },
        { weight: 1, arbitrary: fc.constantFrom("../a", "/OUT", "a/../../b", "OUT/mine", "a/OUT/mine") },
      ),
      type: fc.constantFrom("0", "0", "1", "2", "2", "2", "3", "5", "6"),
      link,
      mode: fc.constantFrom(0o777, 0o6755, 0),
      text: fc.constantFrom("", "overwritten"),
    });
    const layers = fc.array(fc.array(item, { maxLength: 12 }), { minLength: 1, maxLength: 3 });
    // So deep that links of links, followed by broken code, end in the test's own folder.
    root = join(root, "n/".repeat(30));
    let whole = 0;
    await fc.assert(
      fc.asyncProperty(layers, async (some) => {
        fs.rmSync(root, { recursive: true, force: true });
        fs.mkdirSync(root, { recursive: true });
        const tree = new RootfsTree(root);
        for (const items of some) {
          tree.nextLayer();
          for (const { path: at, type, link: to, mode, text } of items) {
            const kind = kinds[type] ?? "device";
            const bytes = kind === "file" ? text.length : 0;
            const entry = { path: at.replace("OUT", outside.slice(1)), kind, mode, bytes };
            // Each is refused or done: one that is refused ends no more than itself here, so that more follows it.
            await tree.add({ ...entry, link: to.replace("OUT", outside) }, pieces(Buffer.from(text), 4)).then(
              () => whole++,
              () => undefined,
            );
          }
        }
        tree.remove("dev");
        tree.put("etc/hosts", "ours");
        assert.equal(tree.read("etc/hosts"), "ours");
        untouched();
      }),
      { seed: 20_261_123, numRuns: 100 },
    );
    assert.ok(whole > 300);
  });

  it("is read or refused, whatever stands in its bytes", async () => {
    const good = tarOf([
      { path: "a/b", text: "some text" },
      { path: "x", type: "x", text: "12 path=a/c\n" },
      { path: "short", text: "named before" },
      { path: "l", type: "2", link: "a/b" },
      { path: "x", type: "L", text: `${"n".repeat(200)}\0` },
      { path: "long" },
    ]);
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.boolean());
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(good.length), async (changes, cut) => {
        const bytes = Buffer.from(good);
        for (const [at, value, summed] of changes) {
          bytes[at] = value;
          const header = bytes.subarray(at - (at % 512), at - (at % 512) + 512);
          // A checksum that fits, so that what it guards is read.
          if (summed) sumUp(header);
        }
        const read = readTar(pieces(cut % 3 === 0 ? bytes.subarray(0, cut) : bytes, 700), async (_, content) => {
          for await (const piece of content) void piece;
        });
        await read.catch((error: unknown) => assert.ok(error instanceof SandboxError, String(error)));
      }),
      { seed: 20_261_123, numRuns: 400 },
    );
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
    "links that go a long way round": wayRound,
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
