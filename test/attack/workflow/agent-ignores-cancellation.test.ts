/** A run is cancelled while its agent is in the middle of a model call, and the agent goes on as if nothing had been said. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const worker = `
import { ask, tell } from "./prelude.mjs";
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 200)); continue; }
  const { id, body } = JSON.parse(text);
  if (!body.startsWith("work")) {
    tell("heard", { body });
    await ask("POST", "/v1/inbox/" + id + "/done", {});
    continue;
  }
  tell("works", { id });
  const call = await ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/fault", stream: true, max_tokens: 900, messages: [{ role: "user", content: "fault stall-middle 60000: count 800" }] });
  tell("call", { status: call.status, words: (call.text.match(/"content":"/g) ?? []).length });
  tell("reply", { status: (await ask("POST", "/v1/inbox/" + id + "/reply", { body: "too late" })).status });
}
`;

let mesh: MeshFixture;
before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: cancel
defaults: { model: rehearsal/fault, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  worker: { command: [/bin/node, /code/worker.mjs], code: code }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/worker.mjs": worker,
    "work.yaml": "workflow: 1\nname: work\nsteps: { work: { agent: worker, task: work, timeout: 1h } }\n",
  });
});
after(async () => {
  await mesh.stop();
});

test("a cancelled run cuts the call, takes the task back and tells the agent; what it says then is not heard", async () => {
  const { run } = await mesh.desk.startRun(join(mesh.folder, "work.yaml"), {});
  const taken = await eventually("the agent at work", async () => (await printed(mesh, "worker", "works"))[0]);
  await eventually("the call on its way", async () => {
    const { records } = await mesh.desk.audit(0, 1_000);
    return records.find(({ kind, detail }) => kind === "model.reserved" && detail["run"] === run);
  });
  await mesh.desk.controlRun(run, "cancel");
  // The provider would have been silent for a minute yet.
  const call = await eventually("the end of the call", async () => (await printed(mesh, "worker", "call"))[0], 25_000);
  assert.ok(Number(call["words"]) < 800, `${String(call["words"])} words`);
  const reply = await eventually("the late reply", async () => (await printed(mesh, "worker", "reply"))[0]);
  assert.equal(reply["status"], 404, "the task is not the agent's any more");
  const heard = await eventually("the notice", async () => (await printed(mesh, "worker", "heard"))[0]);
  assert.equal(heard["body"], `cancelled: task ${String(taken["id"])}`);
  const ended = await mesh.desk.run(run);
  assert.equal(ended.status, "cancelled");
  assert.equal(ended.output, null);
  const { records } = await mesh.desk.audit(0, 1_000);
  const settled = records.filter(({ kind, detail }) => kind === "model.settled" && detail["run"] === run);
  assert.equal(settled.length, 1, "the hold has its end");
  assert.ok((await mesh.desk.costs()).lines.every(({ reserved }) => reserved === 0));
});
