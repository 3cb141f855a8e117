/** A real fleet leaves evidence; whoever changes it without the key is found, by real processes and at the right place. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openReadOnly } from "../../../mesh/store/open.ts";
import type { AuditRow, AuditVerdict } from "../../../protocol/desk.ts";
import { limits } from "../../../protocol/limits.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { flipped, moved, unproved, type Attempt, type Extent } from "./tampering.ts";

const clerk =
  "  clerk: { command: [/bin/node, /code/work.mjs], code: code, may: { blackboard: { write: [clerk/*] } } }";
const fleet = (agents: readonly string[]): string => `
version: 1
fleet: evidence
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } }, sandbox: { cpus: 0.5 } }
agents:
  talker: { instructions: talk.md }
  scribe: { command: [/bin/node, /code/work.mjs], code: code, may: { blackboard: { write: [scribe/*] } } }
${agents.join("\n")}
`;

/** More than one checkpoint's worth of records, by two agents; every tenth is a denial. */
const worker = `
import { ask, tell } from "./prelude.mjs";
const { agent } = JSON.parse((await ask("GET", "/v1/self")).text);
let next = 0;
const lane = async () => { while (next < 540) { const n = next++; await ask("POST", "/v1/tools/board.write", { key: (n % 10 ? agent : "other") + "/" + n % 7, value: "v" + n }); } };
await Promise.all(Array.from({ length: 16 }, lane));
tell("done", {});
setInterval(() => {}, 1e6);
`;

const meshProgram = fileURLToPath(new URL("../../../mesh/main.ts", import.meta.url));
const cordonProgram = fileURLToPath(new URL("../../../user/cli/main.ts", import.meta.url));
const copies = mkdtempSync(join(tmpdir(), "cordon-evidence-"));

let mesh: MeshFixture;
let records: AuditRow[];
let extent: Extent;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": fleet([clerk]),
    "talk.md": "You echo.",
    "code/prelude.mjs": attackerPrelude,
    "code/work.mjs": worker,
  });
  const { conversation } = await mesh.desk.send("talker", "hello");
  assert.equal((await mesh.desk.reply(conversation, 0, 20_000))?.body, "hello");
  for (const agent of ["clerk", "scribe"])
    await eventually(`the work of ${agent}`, async () => (await printed(mesh, agent, "done"))[0], 60_000);
  assert.equal(await mesh.end(), 0);
  records = readRecords(mesh.state);
  const db = new DatabaseSync(join(mesh.state, "cordon.sqlite"), { readOnly: true });
  const rows = db.prepare("SELECT seq FROM audit_checkpoint ORDER BY seq").all() as unknown as { seq: number }[];
  db.close();
  extent = { last: records.length, checkpoints: rows.map(({ seq }) => seq) };
});
after(async () => {
  await mesh.stop();
  rmSync(copies, { recursive: true, force: true });
});

function readRecords(state: string): AuditRow[] {
  const store = openReadOnly(state);
  try {
    return store.query.audit.page(0, Number.MAX_SAFE_INTEGER).map(({ line: _stored, ...row }) => ({
      ...row,
      detail: JSON.parse(row.detail) as AuditRow["detail"],
      hash: Buffer.from(row.hash).toString("hex"),
    }));
  } finally {
    store.close();
  }
}

/** A copy of the stopped state, changed by hand; its key lies beside it, as it would. */
function copyOf(name: string, tamper: Attempt["tamper"] = () => {}): string {
  const folder = join(copies, name.replaceAll(/[^a-z0-9_]+/g, "-"));
  mkdirSync(folder, { mode: 0o700 });
  for (const file of ["cordon.sqlite", "vault.key"]) copyFileSync(join(mesh.state, file), join(folder, file));
  const db = new DatabaseSync(join(folder, "cordon.sqlite"));
  db.exec("BEGIN");
  tamper(db);
  db.exec("COMMIT");
  db.close();
  return folder;
}

function run(program: string, ...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", program, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  const out = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (piece: string) => (out[name] += piece));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code: code ?? 137, ...out })));
}

const served = (state: string) =>
  run(meshProgram, "serve", "--fleet", join(mesh.folder, "cordon.yaml"), "--state", state);

async function assertFound(name: string, attempt: Attempt): Promise<void> {
  const state = copyOf(name, (db) => attempt.tamper(db));
  try {
    const { code, stdout, stderr } = await run(meshProgram, "verify", "--state", state);
    assert.equal(stderr, "", name);
    const verdict = JSON.parse(stdout) as AuditVerdict;
    assert.equal(code, 1, `${name}: ${stdout}`);
    assert.ok(!verdict.ok);
    assert.equal(verdict.badSeq, attempt.badSeq, `${name}: ${verdict.fault}`);
    assert.match(verdict.fault, attempt.fault, name);
    if (attempt.end) {
      const { code, stdout, stderr } = await served(state);
      assert.deepEqual([code, stdout], [1, ""], `${name}: a mesh goes on from it`);
      assert.match(
        stderr,
        /audit ends at record \d+, which is not the end that was sealed\n?.*fix: run `cordon audit verify`/s,
        name,
      );
    }
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

async function assertAllFound(attempts: Readonly<Record<string, Attempt>>): Promise<void> {
  const queue = Object.entries(attempts);
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) await assertFound(...next);
  };
  await Promise.all([lane(), lane()]);
}

/** The seq of a record of this kind. */
function seqOf(kind: string, more: (row: AuditRow) => boolean = () => true): number {
  const found = records.find((row) => row.kind === kind && more(row));
  assert.ok(found, `the fleet has left a \`${kind}\``);
  return found.seq;
}

test("the untouched copy verifies, and the fleet left evidence of every kind of work", async () => {
  assert.ok(extent.last > limits.audit.checkpointRecordsMax, `${extent.last} records`);
  assert.equal(extent.checkpoints.at(-1), extent.last, "an orderly end is signed");
  assert.ok(extent.checkpoints.length >= 2);
  const state = copyOf("untouched");
  const { code, stdout } = await run(meshProgram, "verify", "--state", state);
  const verdict = JSON.parse(stdout) as AuditVerdict;
  assert.ok(code === 0 && verdict.ok, stdout);
  assert.deepEqual([verdict.records, verdict.checkpoints], [extent.last, extent.checkpoints.length]);
  const shown = await run(cordonProgram, "audit", "verify", "--state", state);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, new RegExp(`intact: ${extent.last} records`));
});

test("one byte of any field of any record", async () => {
  const denied = seqOf("decision", ({ detail }) => detail["allow"] === false);
  const seqs = [1, seqOf("model.settled"), denied, extent.last];
  await assertAllFound(flipped(seqs, extent.last));
});

test("records dropped, swapped and put in", () => assertAllFound(moved(extent)));

test("proofs changed, removed and made up", () => assertAllFound(unproved(extent)));

test("`cordon audit verify` says it to people, with what to do", async () => {
  const attempts = { ...moved(extent), ...unproved(extent) };
  for (const name of ["one in the middle dropped", "the last dropped, with its seal", "a signature replaced"]) {
    const attempt = attempts[name];
    assert.ok(attempt);
    const { code, stdout, stderr } = await run(
      cordonProgram,
      "audit",
      "verify",
      "--state",
      copyOf(`cli ${name}`, attempt.tamper),
    );
    assert.equal(code, 1, `${name}: ${stdout}${stderr}`);
    const said = /broken: record (\d+) of \d+: (.*)/.exec(stdout);
    assert.equal(Number(said?.[1]), attempt.badSeq, stdout);
    assert.match(said?.[2] ?? "", attempt.fault);
    assert.match(stdout + stderr, /fix: /);
  }
});

test("an agent that has left the fleet file leaves its evidence", async () => {
  writeFileSync(join(mesh.folder, "cordon.yaml"), fleet([]));
  const next = await mesh.again();
  const { agents } = await next.desk.status();
  assert.equal(await next.end(), 0);
  assert.deepEqual(
    agents.map(({ name }) => name),
    ["talker", "scribe"],
  );
  const now = readRecords(next.state);
  assert.deepEqual(now.slice(0, records.length), records, "nothing of what was there has changed");
  assert.ok(now.some(({ subject }) => subject === "agent:clerk"));
  const { code, stdout } = await run(meshProgram, "verify", "--state", next.state);
  assert.equal(code, 0, stdout);
});
