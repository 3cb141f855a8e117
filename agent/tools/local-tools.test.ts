import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { localTools } from "./local-tools.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-data-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const tools = new Map(localTools(join(folder, "files")).map((tool) => [tool.name, tool]));
const run = (name: string, input: Record<string, unknown>): unknown => {
  const outcome = tools.get(name)?.run(input);
  return outcome?.ok ? outcome.value : outcome?.error.code;
};

test("what is written is listed and read back", () => {
  assert.equal(run("data_list", {}), "not_found");
  assert.deepEqual(run("data_write", { path: "notes/ä b.md", content: "grüße" }), { path: "notes/ä b.md", bytes: 7 });
  assert.deepEqual(run("data_list", {}), { files: [{ path: "notes/ä b.md", bytes: 7 }] });
  assert.deepEqual(run("data_read", { path: "notes/ä b.md" }), { path: "notes/ä b.md", content: "grüße" });
  assert.equal(run("data_read", { path: "notes/none.md" }), "not_found");
});

test("paths that lead out of the folder, or are none, are malformed", () => {
  for (const path of [
    "../sessions/a.json",
    "/etc/passwd",
    "a/../../b",
    "",
    ".",
    "a//b",
    "a\0b",
    7,
    undefined,
    "x".repeat(513),
  ]) {
    assert.equal(run("data_write", { path, content: "x" }), "malformed", String(path));
    assert.equal(run("data_read", { path }), "malformed", String(path));
  }
});

test("wrong arguments and too large files are refused", () => {
  assert.equal(run("data_write", { path: "a", content: 7 }), "malformed");
  assert.equal(run("data_write", { path: "a", content: "x", mode: 7 }), "malformed");
  assert.equal(run("data_write", { path: "a", content: "x".repeat(limits.tool.fileBytesMax + 1) }), "too_large");
});
