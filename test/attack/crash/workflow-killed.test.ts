/**
 * The mesh process is killed at seeded moments of a run, with real sandboxes at work. Whatever was under way, the run
 * ends with the same result, no committed step runs again, and no effect is there twice. `CORDON_KILLS=200` for more.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import type { Entry } from "../../../mesh/workflow/engine/event.ts";

/** On a machine with sixty who want a core, a sandbox takes half a minute to start. */
const PATIENCE_MS = 180_000;
const kills = Number(process.env["CORDON_KILLS"] ?? 8);

const files = {
  "cordon.yaml": `
version: 1
fleet: crash
files: { write: output }
defaults:
  model: rehearsal/echo
  sandbox: { memory: 128MiB, cpus: 1 }
agents:
  scribe:
    command: ["/bin/node", "/code/scribe.mjs"]
    code: code
    may: { tools: [output.write], blackboard: { read: [runs/**], write: [runs/**] } }
`,
  "code/scribe.mjs": `
import http from "node:http";
const ask = (method, path, body) => new Promise((resolve) => {
  const request = http.request({ socketPath: "/run/cordon/door.sock", method, path, headers: { "content-type": "application/json" } }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (piece) => (text += piece)).on("end", () => resolve({ status: response.statusCode, text }));
  });
  request.on("error", () => setTimeout(() => resolve({ status: 0, text: "" }), 100));
  request.end(body === undefined ? undefined : JSON.stringify(body));
});
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) continue;
  const delivery = JSON.parse(text);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await ask("POST", "/v1/inbox/" + delivery.id + "/reply", { body: delivery.body.toUpperCase() });
}
`,
  "letter.yaml": `
workflow: 1
name: letter
input: { type: object, properties: { name: { type: string } }, required: [name] }
steps:
  draft:
    agent: scribe
    task: "draft \${{ input.name }}"
  note:
    needs: [draft]
    tool: board.write
    as: scribe
    with: { key: "runs/\${{ input.name }}", value: "\${{ steps.draft.output }}" }
  parts:
    needs: [note]
    map:
      over: [one, two, three]
      as: part
      concurrency: 2
      each: { tool: board.write, as: scribe, with: { key: "runs/\${{ input.name }}/\${{ part }}", value: "\${{ part }}" } }
  final:
    needs: [parts]
    agent: scribe
    task: "final \${{ steps.draft.output }}"
  file:
    needs: [final]
    tool: output.write
    as: scribe
    accepts: untrusted
    with: { path: "\${{ input.name }}.txt", content: "\${{ steps.final.output }}" }
result: { letter: "\${{ steps.final.output }}", note: "\${{ steps.note.output.version }}" }
`,
};

let mesh: MeshFixture;
before(async () => {
  mesh = await startMesh(files);
});
after(async () => {
  await mesh.stop();
});

/** Mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

test(`a run survives ${kills} kills of the mesh`, { timeout: 60_000 + kills * 20_000 }, async (t) => {
  const draw = random(20_261_122);
  let interrupted = 0;
  for (let kill = 0; kill < kills; kill++) {
    const name = `n${kill}`;
    const { run } = await mesh.desk.startRun(join(mesh.folder, "letter.yaml"), { name });
    await new Promise((resolve) => setTimeout(resolve, draw() * 260));
    await mesh.kill();
    mesh = await mesh.again();
    if ((await mesh.desk.run(run)).finishedAtMs === null) interrupted++;
    const look = async () => {
      const found = await mesh.desk.run(run);
      return found.finishedAtMs === null ? undefined : found;
    };
    const ended = await eventually(`the end of ${run}`, look, PATIENCE_MS);
    assert.equal(ended.status, "succeeded", ended.reason);
    const letter = `FINAL DRAFT ${name.toUpperCase()}`;
    assert.deepEqual(ended.output, { letter, note: 1 });
    assert.equal(readFileSync(join(mesh.folder, "output", `${name}.txt`), "utf8"), letter);
    const { rows } = await mesh.desk.board(`runs/${name}/*`);
    assert.deepEqual(
      rows.map(({ key, version }) => `${key} ${version}`).toSorted(),
      ["one", "three", "two"].map((part) => `runs/${name}/${part} 1`),
    );
    const entries = (await mesh.desk.runJournal(run)).entries as readonly Entry[];
    const done = entries.flatMap(({ event }) => (event.kind === "step.succeeded" ? [event.task] : []));
    assert.equal(new Set(done).size, done.length, "no committed step runs again");
    const verdict = await mesh.desk.replayRun(run);
    assert.ok(verdict.ok, JSON.stringify(verdict));
  }
  assert.ok((await mesh.desk.verifyAudit()).ok);
  assert.ok(interrupted > 0, "the kills fall into runs");
  t.diagnostic(`${kills} kills, ${interrupted} of them before the end of the run`);
});
