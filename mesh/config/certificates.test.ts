import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { rootCertificates } from "node:tls";
import { limits } from "../../protocol/limits.ts";
import { loadScenario } from "../commands/rehearsal.ts";
import { readCertificates } from "./certificates.ts";
import { loadFleet } from "./load.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-certificates-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);
const [one = "", other = ""] = rootCertificates.map((pem) => new X509Certificate(pem).toString().trim());
const fleet = "version: 1\nfleet: f\nagents: { a: { model: rehearsal/echo, instructions: text } }\n";

test("all certificates of a file are read, and nothing else that stands in it", () => {
  writeFileSync(
    at("two.pem"),
    Buffer.from(`# ours \u00ff\n${one}\nand\r\n${other.replaceAll("\n", "\r\n")}\n\0`, "latin1"),
  );
  assert.deepEqual(readCertificates(at("two.pem")), { ok: true, value: `${one}\n${other}\n` });
});

/** What it holds, how it is laid, and what is said of it. */
const hostile: readonly (readonly [string, (path: string) => void, RegExp])[] = [
  ["empty", (path) => writeFileSync(path, ""), /holds no certificates in PEM/],
  ["text", (path) => writeFileSync(path, Buffer.from([0xff, 0xfe, 0, 0x80])), /holds no certificates in PEM/],
  ["broken", (path) => writeFileSync(path, `${one}\n${other.replace("M", "!")}`), /cannot be read, at line \d{2}$/],
  ["cut", (path) => writeFileSync(path, `${one}\n${other.slice(0, 90)}`), /cannot be read, at line \d{2}$/],
  [
    "large",
    (path) => writeFileSync(path, Buffer.alloc(limits.fleet.certificatesBytesMax + 1)),
    /is larger than \d+ bytes/,
  ],
  ["without-end", (path) => symlinkSync("/proc/kallsyms", path), /is larger than \d+ bytes/],
];

test("a file of which a part cannot be read is refused, where its name stands in the fleet file", () => {
  for (const [name, lay, what] of hostile) {
    lay(at(name));
    const read = readCertificates(at(name));
    assert.ok(!read.ok && what.test(read.error), name);
    for (const line of [`web: { ca: ${name} }`, databases(name)]) {
      writeFileSync(at("cordon.yaml"), `${fleet}${line}\n`);
      assert.throws(
        () => loadFleet(at("cordon.yaml")),
        new RegExp(`yaml:4:\\d+: \`${name}\` (holds|is larger).*\n  fix: name a file`),
      );
    }
  }
});

test("a pipe, a device or a folder in the place of certificates or a scenario is not waited for", () => {
  execFileSync("mkfifo", [at("pipe")]);
  mkdirSync(at("folder"));
  symlinkSync("/dev/zero", at("zero"));
  for (const name of ["pipe", "folder", "zero", "nowhere"]) {
    assert.equal(readCertificates(at(name)).ok, false);
    assert.throws(() => loadScenario(at(name)), /cannot read the scenario file `.*`: (not a file|ENOENT): name one/);
    writeFileSync(at("cordon.yaml"), `${fleet}web: { ca: ${name} }\n`);
    assert.throws(() => loadFleet(at("cordon.yaml")), /:4:12: `\w+` is not a file\n {2}fix: create it/);
  }
  assert.throws(() => loadScenario(at("without-end")), /it is larger than \d+ bytes: name one/);
});

const databases = (ca: string): string =>
  `databases: { d: { to: db.example, database: d, role: r, credential: c, ca: ${ca} } }`;
