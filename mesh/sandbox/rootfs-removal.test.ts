import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { removeFolder } from "./rootfs-removal.ts";

const skip = process.getuid?.() === 0 ? false : "mounting needs root";

it("a folder with something mounted below is not removed, and what is mounted stays whole", { skip }, async () => {
  // Both are the test's own: a check that fails here costs nobody a file.
  const [folder, other] = [0, 1].map(() => mkdtempSync(join(tmpdir(), "cordon-removal-"))) as [string, string];
  writeFileSync(join(other, "mine"), "untouched");
  const point = join(folder, "rootfs", "mnt");
  mkdirSync(point, { recursive: true });
  assert.equal(spawnSync("mount", ["--bind", other, point]).status, 0);
  try {
    await assert.rejects(removeFolder(folder, clock), /was left mounted/);
    assert.equal(readFileSync(join(other, "mine"), "utf8"), "untouched");
  } finally {
    assert.equal(spawnSync("umount", [point]).status, 0);
  }
  await removeFolder(folder, clock);
  assert.equal(existsSync(folder), false);
  rmSync(other, { recursive: true });
});
