import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { test } from "node:test";
import { filesBelow } from "./files-below.ts";

test("files at every depth, and nothing that a link leads to", async () => {
  const root = mkdtempSync(join(tmpdir(), "cordon-below-"));
  try {
    for (const folder of ["data/deep/er", "elsewhere"]) mkdirSync(join(root, folder), { recursive: true });
    for (const file of ["data/a", "data/deep/er/b", "elsewhere/secret"]) writeFileSync(join(root, file), "");
    symlinkSync("../elsewhere", join(root, "data/out"));
    symlinkSync("../elsewhere/secret", join(root, "data/file"));
    symlinkSync("..", join(root, "data/deep/circle"));
    const found: string[] = [];
    for await (const path of filesBelow(join(root, "data"))) found.push(relative(root, path));
    assert.deepEqual(found.toSorted(), ["data/a", "data/deep/er/b"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
