/**
 * A message that kills whoever reads it costs its reader nothing but a few lives; a reader that was frozen with a message
 * in hand, and comes back when that is no longer his, changes nothing.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { limits } from "../../../protocol/limits.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const reader = `
import { ask, tell } from "./prelude.mjs";
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 100)); continue; }
  const { id, body } = JSON.parse(text);
  if (body === "poison") { tell("died", { id }); process.exit(1); }
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "well" });
}
`;

/** Freezes with its first message in hand; a process beside it thaws it when its step has long timed out. */
const sleeper = `
import { spawn } from "node:child_process";
import { ask, tell } from "./prelude.mjs";
const thaw = "setTimeout(() => process.kill(" + process.pid + ", 'SIGCONT'), 6000)";
let frozen = false;
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 100)); continue; }
  const { id } = JSON.parse(text);
  if (!frozen) {
    frozen = true;
    spawn("/bin/node", ["-e", thaw], { stdio: "ignore" });
    tell("frozen", { id });
    process.kill(process.pid, "SIGSTOP");
    // The signal takes effect before the next turn.
    await new Promise((resolve) => setTimeout(resolve, 10));
    const late = await ask("POST", "/v1/inbox/" + id + "/reply", { body: "late" });
    const done = await ask("POST", "/v1/inbox/" + id + "/done", {});
    tell("thawed", { id, late: late.status, done: done.status });
    continue;
  }
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "in time" });
}
`;

let mesh: MeshFixture;
before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: ill
defaults: { model: rehearsal/echo, sandbox: { memory: 192MiB, cpus: 1, disk: 4MiB } }
agents:
  reader: { command: [/bin/node, /code/reader.mjs], code: code }
  sleeper: { command: [/bin/node, /code/sleeper.mjs], code: code }
`,
    "late.yaml": `
workflow: 1
name: late
steps:
  work: { agent: sleeper, task: x, timeout: 3s, retry: { attempts: 8, backoff: 2s, backoff_max: 2s, jitter: 0 } }
result: "\${{ steps.work.output }}"
`,
    "code/prelude.mjs": attackerPrelude,
    "code/reader.mjs": reader,
    "code/sleeper.mjs": sleeper,
  });
});
after(() => mesh.stop());

test("a poisoned message is given up before its reader is, as evidence, and what waits behind it is answered", async () => {
  await mesh.desk.send("reader", "poison");
  const { conversation } = await mesh.desk.send("reader", "hello");
  const reply = await eventually("an answer", () => mesh.desk.reply(conversation, 0, 20_000), 120_000);
  assert.equal(reply.body, "well");
  assert.equal((await printed(mesh, "reader", "died")).length, limits.message.attemptsMax);
  const [dead, ...more] = (await mesh.desk.audit(0, 1_000)).records.filter(({ kind }) => kind === "message.dead");
  assert.deepEqual([dead?.detail["agent"], dead?.detail["attempts"], more], ["reader", limits.message.attemptsMax, []]);
  const [{ phase, inbox } = { phase: "", inbox: -1 }] = (await mesh.desk.status()).agents;
  assert.deepEqual([phase, inbox], ["running", 0]);
});

test("who was frozen with a message in hand settles nothing when it was taken back", async () => {
  const { run } = await mesh.desk.startRun(join(mesh.folder, "late.yaml"), {});
  const thawed = await eventually("the zombie", async () => (await printed(mesh, "sleeper", "thawed"))[0], 60_000);
  assert.deepEqual([thawed["late"], thawed["done"]], [404, 404]);
  const ended = await eventually(
    "the end of the run",
    async () => {
      const found = await mesh.desk.run(run);
      return found.finishedAtMs === null ? undefined : found;
    },
    60_000,
  );
  assert.deepEqual([ended.status, ended.output], ["succeeded", "in time"]);
  const { entries } = await mesh.desk.runJournal(run);
  const kinds = (entries as readonly { readonly event: { readonly kind: string } }[]).map(({ event }) => event.kind);
  assert.equal(kinds.filter((kind) => kind === "step.succeeded").length, 1);
  assert.ok(kinds.includes("step.broken"), kinds.join());
  assert.ok((await mesh.desk.replayRun(run)).ok);
});

test("a mesh that is frozen keeps its state: no other one takes it over, and it goes on when it is thawed", async () => {
  process.kill(mesh.pid, "SIGSTOP");
  try {
    await assert.rejects(mesh.again(), /another mesh runs on it/);
  } finally {
    process.kill(mesh.pid, "SIGCONT");
  }
  const { conversation } = await mesh.desk.send("reader", "still there?");
  assert.equal((await eventually("an answer", () => mesh.desk.reply(conversation, 0, 20_000), 60_000)).body, "well");
  assert.ok((await mesh.desk.verifyAudit()).ok);
});
