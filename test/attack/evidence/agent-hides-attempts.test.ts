/** Hostile code makes a call of which only who wants out has need, and its end besides: who asks the mesh afterwards is told. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { AuditRow, MeshEvent } from "../../../protocol/desk.ts";
import { projectDir, skipUnlessRoot } from "../../contract/sandbox-fixture.ts";
import { eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const probe = (name: string): string => readFileSync(join(projectDir, "mesh/sandbox/probe", name), "utf8");
const hostile = `import fs from "node:fs";
import { spawnSync } from "node:child_process";
import { rawCalls } from "./elf.mjs";
import { forbiddenCalls, forThisMachine } from "./raw-calls.mjs";
const calls = [forbiddenCalls.unshare_user, forbiddenCalls.bpf].map(forThisMachine);
fs.writeFileSync("/data/raw", rawCalls(calls), { mode: 0o755 });
const { stdout, pid } = spawnSync("/data/raw");
console.log(JSON.stringify({ kind: "tried", pid, results: calls.map((_, i) => Number(stdout.readBigInt64LE(i * 8))) }));
setInterval(() => {}, 1e6);`;

const PATIENCE_MS = 120_000;
let mesh: MeshFixture;
const skip = skipUnlessRoot;
before(async () => {
  if (skip !== false) return;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: attempts
defaults: { model: rehearsal/echo, sandbox: { cpus: 0.5 } }
agents:
  hostile: { command: [/bin/node, /code/hostile.mjs], code: code }
  honest: { command: [/bin/node, -e, "setInterval(() => {}, 1e6)"], code: code }
`,
    "code/hostile.mjs": hostile,
    "code/elf.mjs": probe("elf.js"),
    "code/raw-calls.mjs": probe("raw-calls.js"),
  });
});
after(() => mesh?.stop());

test("what was tried stands among the events and in the audit, with who and how often", { skip }, async () => {
  const [tried] = await eventually(
    "the attempt",
    async () => {
      const found = await printed(mesh, "hostile", "tried");
      return found.length > 0 ? found : undefined;
    },
    PATIENCE_MS,
  );
  assert.deepEqual(tried?.["results"], [-1, -1]);
  const events = await eventually(
    "its events",
    async () => {
      const { events: all } = await mesh.desk.events(0, 0);
      const found = all.filter(({ type }: MeshEvent) => type === "sandbox.syscall_denied");
      return found.length >= 2 ? found : undefined;
    },
    PATIENCE_MS,
  );
  assert.deepEqual(
    events.map(({ agent, detail }) => [agent, detail["call"], detail["count"]]),
    [
      ["hostile", "unshare", 1],
      ["hostile", "bpf", 1],
    ],
  );
  assert.equal(events[0]?.detail["pid"], tried?.["pid"], "the process, as its sandbox knows it");
  const records = await eventually(
    "its records",
    async () => {
      const { records: all } = await mesh.desk.audit(0, 1_000);
      const found = all.filter(({ kind }: AuditRow) => kind === "sandbox.syscall_denied");
      return found.length >= 2 ? found : undefined;
    },
    PATIENCE_MS,
  );
  assert.deepEqual(
    records.map(({ detail }) => [detail["agent"], detail["call"]]),
    [
      ["hostile", "unshare"],
      ["hostile", "bpf"],
    ],
  );
  assert.equal((await mesh.desk.verifyAudit()).ok, true);
});
