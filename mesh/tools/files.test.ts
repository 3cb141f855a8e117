import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { randomId } from "../../lib/id.ts";
import { limits } from "../../protocol/limits.ts";
import { FilePath } from "../../protocol/names.ts";
import { FileTools } from "./files.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-files-"));
after(() => rmSync(root, { recursive: true }));

/** A folder to read, one to write, and what lies beside them and must stay there. */
function scene() {
  const at = mkdtempSync(join(root, "s-"));
  const read = join(at, "in");
  const write = join(at, "out");
  const beside = join(at, "beside");
  for (const folder of [read, write, beside]) mkdirSync(folder);
  writeFileSync(join(beside, "secret.txt"), "canary");
  return { read, write, beside, files: new FileTools({ read, write }, randomId) };
}
const codeOf = (result: { readonly ok: boolean; readonly error?: { readonly code: string } }): string =>
  result.ok ? "ok" : (result.error?.code ?? "");

/** What no path may be, whichever of the two folders is meant. */
const badPaths = [
  "..",
  "../beside/secret.txt",
  "a/../../beside/secret.txt",
  "/etc/passwd",
  "",
  ".",
  "a//b",
  "./a",
  "a/",
  ".env",
  "a/.git/config",
  "a\\b",
  "a\0b",
  "~",
  "a\nb",
  "x".repeat(256),
  `${"a/".repeat(8)}b`,
];

test("files are listed and read: text, in every script, cleaned of what nobody sees", async () => {
  const { read, files } = scene();
  mkdirSync(join(read, "sub dir"));
  writeFileSync(join(read, "a.txt"), "one\r\ntwo\u202e\u{e0041}");
  writeFileSync(join(read, "sub dir", "ü (1).md"), "äöü 日本");
  assert.deepEqual(await files.list(), {
    ok: true,
    value: {
      files: [
        { path: "a.txt", bytes: 15 },
        { path: "sub dir/ü (1).md", bytes: 13 },
      ],
    },
  });
  assert.deepEqual(await files.read("a.txt"), { ok: true, value: { path: "a.txt", content: "one\ntwo", removed: 3 } });
  assert.deepEqual(await files.read("sub dir/ü (1).md"), {
    ok: true,
    value: { path: "sub dir/ü (1).md", content: "äöü 日本", removed: 0 },
  });
});

test("nothing but plain files is listed or read: no links, pipes, sockets, devices, folders, hidden files", async () => {
  const { read, beside, files } = scene();
  symlinkSync(join(beside, "secret.txt"), join(read, "link.txt"));
  symlinkSync(beside, join(read, "folder"));
  symlinkSync("/dev/zero", join(read, "zero"));
  mkdirSync(join(read, "real"));
  writeFileSync(join(read, ".env"), "canary");
  mkdirSync(join(read, ".git"));
  writeFileSync(join(read, ".git", "config"), "canary");
  execFileSync("mkfifo", [join(read, "pipe")]);
  execFileSync("mknod", [join(read, "null"), "c", "1", "3"]);
  const server = createServer().listen(join(read, "socket"));
  try {
    assert.deepEqual(await files.list(), { ok: true, value: { files: [] } });
    for (const path of [
      "link.txt",
      "folder/secret.txt",
      "zero",
      "real",
      ".env",
      ".git/config",
      "pipe",
      "null",
      "socket",
      "none",
      "none/none",
      "link.txt/x",
    ]) {
      assert.equal(codeOf(await files.read(path)), "not_found", path);
    }
  } finally {
    server.close();
  }
});

test("a path that is not plain is no file, and is no place to write", async () => {
  const { files, write, beside } = scene();
  for (const path of badPaths) {
    assert.equal(codeOf(await files.read(path)), "not_found", path);
    assert.equal(codeOf(await files.write(path, "x")), "denied", path);
    if (path.length < 200 && !path.startsWith("a/a/")) assert.equal(FilePath.safeParse(path).success, false, path);
  }
  assert.deepEqual([readdirSync(write), readdirSync(beside)], [[], ["secret.txt"]]);
});

test("what is too large or not text is refused as such", async () => {
  const { read, files } = scene();
  writeFileSync(join(read, "large"), Buffer.alloc(limits.tool.fileBytesMax + 1, "a"));
  writeFileSync(join(read, "limit"), Buffer.alloc(limits.tool.fileBytesMax, "a"));
  writeFileSync(join(read, "binary"), Buffer.from([0x61, 0xff, 0xfe]));
  assert.equal(codeOf(await files.read("large")), "too_large");
  assert.equal(codeOf(await files.read("limit")), "ok");
  assert.equal(codeOf(await files.read("binary")), "unsupported");
});

test("output lands whole under its name, and replaces what was there", async () => {
  const { write, files } = scene();
  assert.deepEqual(await files.write("new/sub/a.md", "ä"), { ok: true, value: { path: "new/sub/a.md", bytes: 2 } });
  assert.equal(codeOf(await files.write("new/sub/a.md", "second")), "ok");
  assert.equal(readFileSync(join(write, "new/sub/a.md"), "utf8"), "second");
  assert.equal(statSync(join(write, "new/sub/a.md")).mode & 0o777 & ~0o644, 0);
  assert.deepEqual(readdirSync(join(write, "new/sub")), ["a.md"]);
});

test("output follows no link: neither a linked folder nor a linked file is written through", async () => {
  const { write, beside, files } = scene();
  symlinkSync(beside, join(write, "folder"));
  symlinkSync(join(beside, "secret.txt"), join(write, "link.txt"));
  for (const path of ["folder/secret.txt", "folder/new.txt", "folder/deep/new.txt"])
    assert.equal(codeOf(await files.write(path, "x")), "denied", path);
  assert.equal(codeOf(await files.write("link.txt", "mine")), "ok");
  assert.deepEqual(readdirSync(beside), ["secret.txt"]);
  assert.equal(readFileSync(join(beside, "secret.txt"), "utf8"), "canary");
  assert.equal(readFileSync(join(write, "link.txt"), "utf8"), "mine");
});

test("a write that fails says why and leaves no draft and no room taken", async () => {
  const { write, files } = scene();
  mkdirSync(join(write, "folder"));
  assert.equal(codeOf(await files.write("folder", "x")), "conflict");
  writeFileSync(join(write, "file"), "x");
  assert.equal(codeOf(await files.write("file/inside", "x")), "conflict");
  const failing = new FileTools({ read: null, write }, { next: () => "x".repeat(300) });
  assert.equal(codeOf(await failing.write("a.txt", "x")), "store_failed");
  assert.deepEqual(readdirSync(write).sort(), ["file", "folder"]);
});

test("the output folder holds so many files and no more, also when many come at once, and after a restart", async () => {
  const { write, files } = scene();
  const max = limits.tool.outputFilesMax;
  for (let i = 0; i < max - 5; i++) writeFileSync(join(write, `old-${i}`), "");
  const written = await Promise.all(Array.from({ length: 20 }, (_, i) => files.write(`d${i}/new`, "x")));
  assert.equal(written.filter(({ ok }) => ok).length, 5);
  assert.ok(written.every((result) => ["ok", "too_large"].includes(codeOf(result))));
  assert.equal(codeOf(await files.write("old-0", "again")), "ok");
  assert.equal(codeOf(await new FileTools({ read: null, write }, randomId).write("more", "x")), "too_large");
  assert.equal(existsSync(join(write, "more")), false);
});

test("a fleet without folders serves none", async () => {
  const files = new FileTools({ read: null, write: null }, randomId);
  assert.deepEqual(
    [codeOf(await files.list()), codeOf(await files.read("a")), codeOf(await files.write("a", ""))],
    ["denied", "denied", "denied"],
  );
});
