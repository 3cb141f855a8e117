/**
 * What was planned is what is done, whoever changes what: the agent of a step asks for more, the workflow file is written
 * anew while the run waits, and the plan is exchanged on disk below a mesh that is down.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import type { RunDetail } from "../../../protocol/run.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

/** In its first life as a worker it tries what its plan does not name, and hands in nothing; later it behaves. */
const worker = `
import fs from "node:fs";
import { ask, tell } from "./prelude.mjs";
const tool = async (name, args) => (await ask("POST", "/v1/tools/" + name, args)).status;
const model = async (model) => (await ask("POST", "/openai/v1/chat/completions", { model, max_tokens: 10, messages: [{ role: "user", content: "hi" }] })).status;
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 200)); continue; }
  const { id } = JSON.parse(text);
  const tried = fs.existsSync("/data/tried");
  if (!tried) {
    tell("tried", {
      output: await tool("output.write", { path: "stolen.txt", content: "x" }),
      board: await tool("board.write", { key: "notes/other", value: "x" }),
      publish: await tool("bus.publish", { topic: "news/x", body: "x" }),
      otherModel: await model("rehearsal/fault"),
      foreignModel: await model("openai/gpt-5"),
      planned: await tool("board.write", { key: "notes/own", value: "x" }),
    });
    fs.writeFileSync("/data/tried", "");
  }
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: tried ? '{"n":7}' : "I have done something else." });
}
`;

const publish = (content: string): string => `
workflow: 1
name: publish
steps:
  allowed: { approve: { ask: Write it?, roles: [editor], expires: 1h } }
  write: { needs: [allowed], tool: output.write, as: clerk, with: { path: news.txt, content: ${content} } }
`;

let mesh: MeshFixture;
before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: planned
files: { write: output }
defaults: { model: rehearsal/echo, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  worker:
    command: [/bin/node, /code/worker.mjs]
    code: code
    may:
      tools: [output.write]
      blackboard: { write: [notes/*] }
      topics: { publish: [news/*] }
  clerk: { instructions: clerk.md, may: { tools: [output.write] } }
`,
    "clerk.md": "You lend your rights.",
    "output/.keep": "",
    "count.yaml": `
workflow: 1
name: count
steps:
  count:
    agent: worker
    task: count
    output: { type: object, properties: { n: { type: integer } }, required: [n] }
    timeout: 10m
    may: { blackboard: { write: [notes/own] } }
  use: { needs: [count], tool: output.write, as: clerk, with: { path: "count-\${{ run.id }}.txt", content: done }, accepts: untrusted }
result: \${{ steps.count.output.n }}
`,
    "publish.yaml": publish("planned"),
    "code/prelude.mjs": attackerPrelude,
    "code/worker.mjs": worker,
  });
});
after(() => mesh.stop());

const start = async (file: string): Promise<string> => (await mesh.desk.startRun(join(mesh.folder, file), {})).run;
const when = (run: string, wanted: (found: RunDetail) => boolean): Promise<RunDetail> =>
  eventually(`${run} to come to something`, async () => {
    const found = await mesh.desk.run(run);
    return wanted(found) ? found : undefined;
  });
const over = (run: string, afterSeq = 0): Promise<RunDetail> =>
  when(run, ({ finishedAtMs, seq }) => finishedAtMs !== null && seq > afterSeq);
const written = (name: string): string | undefined => {
  const path = join(mesh.folder, "output", name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};
const approve = async (run: string): Promise<void> => {
  const [asked] = (await when(run, ({ approvals }) => approvals.length > 0)).approvals;
  assert.ok(asked);
  await mesh.desk.answerRun(run, { task: asked.task, hash: asked.hash, approved: true });
};

test("an agent that tries what its step's plan does not name is refused; the run fails, and succeeds when it is retried", async () => {
  const run = await start("count.yaml");
  const failed = await over(run);
  const [tried] = await printed(mesh, "worker", "tried");
  const { planned, kind: _, ...others } = tried ?? {};
  assert.equal(planned, 200, "what the plan names is done");
  assert.deepEqual(Object.keys(others), ["output", "board", "publish", "otherModel", "foreignModel"]);
  for (const [what, status] of Object.entries(others)) assert.equal(status, 403, what);
  assert.deepEqual(
    [failed.status, written("stolen.txt"), written(`count-${run}.txt`)],
    ["failed", undefined, undefined],
  );
  await mesh.desk.retryRun(run, "count");
  const again = await over(run, failed.seq);
  assert.deepEqual([again.status, again.output, written(`count-${run}.txt`)], ["succeeded", 7, "done"]);
  assert.equal((await mesh.desk.replayRun(run)).ok, true);
});

test("a workflow file that is changed after the plan changes no run that was started from it", async () => {
  const run = await start("publish.yaml");
  writeFileSync(join(mesh.folder, "publish.yaml"), publish("exchanged"));
  await approve(run);
  assert.equal((await over(run)).status, "succeeded");
  assert.equal(written("news.txt"), "planned");
  const later = await start("publish.yaml");
  assert.notEqual((await mesh.desk.run(later)).plan, (await mesh.desk.run(run)).plan, "a new start is a new plan");
  await mesh.desk.controlRun(later, "cancel");
});

test("a plan that was exchanged on disk is not carried out, nor retried; the old one in its place is", async () => {
  writeFileSync(join(mesh.folder, "publish.yaml"), publish("agreed"));
  const run = await start("publish.yaml");
  await approve(run);
  await over(run);
  writeFileSync(join(mesh.folder, "output", "news.txt"), "");
  const { plan, seq } = await mesh.desk.run(run);
  const original = await exchange(plan, (text) => text.replaceAll("agreed", "forged"));
  await assert.rejects(mesh.desk.retryRun(run, "write"), /cannot go on: its plan does not have the digest/);
  assert.equal(written("news.txt"), "");
  await exchange(plan, () => original);
  await mesh.desk.retryRun(run, "write");
  assert.equal((await over(run, seq)).status, "succeeded");
  assert.equal(written("news.txt"), "agreed");
});

test("nor is a run that was open taken up again with another plan than its own", async () => {
  const run = await start("publish.yaml");
  await when(run, ({ approvals }) => approvals.length > 0);
  writeFileSync(join(mesh.folder, "output", "news.txt"), "");
  const { plan } = await mesh.desk.run(run);
  const original = await exchange(plan, (text) => text.replaceAll("agreed", "forged"));
  await assert.rejects(mesh.desk.run(run), /its plan does not have the digest that it was started with/);
  const { runs } = await mesh.desk.runs();
  assert.equal(runs.find(({ id }) => id === run)?.status, "running", "it stays where it is, and asks nobody");
  assert.equal(written("news.txt"), "");
  await exchange(plan, () => original);
  await approve(run);
  assert.equal((await over(run)).status, "succeeded");
  assert.equal(written("news.txt"), "agreed");
});

/** Writes another text below the digest of a plan while no mesh is there. Returns the text that was there. */
async function exchange(digest: string, change: (text: string) => string): Promise<string> {
  await mesh.end();
  const db = new DatabaseSync(join(mesh.state, "cordon.sqlite"));
  const row = db.prepare("SELECT text FROM workflow_plan WHERE digest = ?").get(digest) as { readonly text: string };
  const text = change(row.text);
  assert.notEqual(text, row.text, "something is exchanged");
  db.prepare("UPDATE workflow_plan SET text = ? WHERE digest = ?").run(text, digest);
  db.close();
  mesh = await mesh.again();
  return row.text;
}
