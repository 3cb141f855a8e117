/** A hijacked agent that may use a credential hunts for its bytes; the host looks into its memory as well. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/redact.ts";
import { startRehearsal, type Rehearsal } from "../../../mesh/rehearsal/rehearsal.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { filesHolding, memoryHolding, sandboxProcesses } from "../../fleet/search.ts";

const canary = `cordon-canary-${randomBytes(16).toString("hex")}`;
/** Stands in the attacker's own code: a search that does not find it is asleep. */
const needle = `needle-${randomBytes(16).toString("hex")}`;

const attacker = `
import { ask, tell } from "./prelude.mjs";
import fs from "node:fs";
globalThis.kept = "${needle}";
const answers = [];
for (const stream of [false, true]) {
  answers.push(await ask("POST", "/openai/v1/chat/completions", { model: "upstream/counter", stream, max_tokens: 50, messages: [{ role: "user", content: "count 20" }] }));
}
tell("answers", { statuses: answers.map((each) => each.status) });
const found = [];
const look = (path, depth) => {
  let stat;
  try { stat = fs.lstatSync(path); } catch { return; }
  if (stat.isSymbolicLink()) return;
  if (stat.isDirectory()) {
    if (depth > 0) for (const name of (() => { try { return fs.readdirSync(path); } catch { return []; } })()) look(path + "/" + name, depth - 1);
    return;
  }
  if (!stat.isFile()) return;
  try {
    const file = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    const bytes = Buffer.alloc(1e6);
    if (bytes.subarray(0, fs.readSync(file, bytes)).includes("cordon-canary-")) found.push(path);
    fs.closeSync(file);
  } catch {}
};
for (const path of ["/etc", "/run", "/opt", "/data", "/tmp", "/code", "/proc/1", "/proc/self"]) look(path, 3);
const environment = Object.entries(process.env).filter(([, value]) => value.includes("canary"));
tell("hunt", { found: found.filter((path) => !path.startsWith("/code")), environment, reflected: answers.some((each) => JSON.stringify(each).includes("cordon-canary-")) });
setInterval(() => {}, 1e6);
`;

let upstream: Rehearsal;
let mesh: MeshFixture;

before(async () => {
  upstream = await startRehearsal({
    listen: { host: "127.0.0.1", port: 0 },
    scenarios: [],
    apiKey: new Secret(Buffer.from(canary)),
    seed: "test",
    clock: systemClock,
  });
  const { port } = upstream.listen as { port: number };
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: canary
providers: { upstream: { api: openai, base_url: "http://127.0.0.1:${port}/v1", credential: canary, price: { input: 1, output: 1 } } }
defaults: { model: upstream/counter, budget: { day: { usd: 1 } } }
agents:
  thief: { command: [/bin/node, /code/attack.mjs], code: code }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/attack.mjs": attacker,
  });
  // The sandbox may have asked before the credential was there: it is started anew with it in use.
  await mesh.desk.addCredential("canary", Buffer.from(canary));
  await mesh.restart("thief");
});

after(async () => {
  await mesh.stop();
  await upstream.close();
});

test("the agent uses the credential and finds no byte of it", async () => {
  const hunt = await eventually("the hunt", async () => (await printed(mesh, "thief", "hunt")).at(-1));
  const { statuses } = (await printed(mesh, "thief", "answers")).at(-1) ?? {};
  assert.deepEqual(statuses, [200, 200], "the credential was really used");
  assert.deepEqual(hunt, { kind: "hunt", found: [], environment: [], reflected: false });
});

test("no process of the sandbox has it in memory", async () => {
  const processes = sandboxProcesses(mesh.installation);
  assert.ok(processes.length >= 2, "PID 1 and the attacker are there");
  assert.ok(
    processes.some((pid) => memoryHolding(pid, needle)),
    "the search is awake",
  );
  for (const pid of processes) assert.equal(memoryHolding(pid, canary), false, `process ${pid}`);
  assert.ok(memoryHolding(process.pid, canary), "and knows what it looks for");
});

test("it is in no file of the state, no log, no event and no audit record", async () => {
  await mesh.desk.verifyAudit();
  assert.deepEqual(filesHolding(mesh.state, canary), []);
  assert.ok(filesHolding(mesh.folder, needle).length > 0, "the search is awake");
  const { records } = await mesh.desk.audit(0, 1_000);
  const { events } = await mesh.desk.events(0, 0);
  assert.ok(records.some((record) => record.kind === "model.settled"));
  assert.equal(
    JSON.stringify([records, events, await mesh.desk.status(), await mesh.desk.credentials()]).includes(canary),
    false,
  );
});
