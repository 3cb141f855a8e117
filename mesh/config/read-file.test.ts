import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadWorkflow } from "../workflow/load.ts";
import { FleetFileError, loadFleet } from "./load.ts";
import { readRegular } from "./read-file.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-read-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);
const linked = (to: string, name: string): string => {
  symlinkSync(to, at(name));
  return at(name);
};

test("a file is read up to its bound, through links as well", () => {
  writeFileSync(at("four"), "four");
  for (const path of [at("four"), linked("four", "link")]) {
    assert.deepEqual(readRegular(path, 4), { ok: true, value: Buffer.from("four") });
    assert.deepEqual(readRegular(path, 3), { ok: false, error: "too large" });
  }
  writeFileSync(at("empty"), "");
  assert.deepEqual(readRegular(at("empty"), 0), { ok: true, value: Buffer.alloc(0) });
  // One that says that it is empty, and is not.
  assert.deepEqual(readRegular("/proc/self/status", 10), { ok: false, error: "too large" });
  assert.deepEqual(readRegular(at("none"), 4), { ok: false, error: "ENOENT" });
});

test("what has come with a checkout and is no file is not waited for, and not read without end", () => {
  execFileSync("mkfifo", [at("pipe")]);
  mkdirSync(at("folder"));
  for (const path of [at("pipe"), at("folder"), linked("pipe", "to-pipe"), linked("/dev/zero", "zero")]) {
    assert.deepEqual(readRegular(path, 4), { ok: false, error: "not a file" });
    assert.throws(() => loadFleet(path), FleetFileError);
    const workflow = loadWorkflow(path);
    assert.ok(!workflow.ok && /not a file/.test(workflow.error[0]?.message ?? ""));
  }
});

test("instructions that say that they are empty, and are not, are read up to their bound", () => {
  // A file of the kernel's: as long as it likes, and 0 bytes by what it says.
  for (const [line, what] of [
    ["instructions: /proc/kallsyms", "instructions are too long"],
    ["instructions: /proc/self/mem", "cannot be read"],
  ] as const) {
    writeFileSync(
      at("cordon.yaml"),
      `version: 1\nfleet: f\ndefaults: { model: rehearsal/echo }\nagents: { a: { ${line} } }\n`,
    );
    assert.throws(
      () => loadFleet(at("cordon.yaml")),
      (error: Error) => error.message.includes(what),
    );
  }
});
