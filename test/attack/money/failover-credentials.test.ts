/** Several keys of one provider, one of them missing and one revoked; a model too slow to begin; a model too dear. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const caller = `
import { ask, tell } from "./prelude.mjs";
const call = async (model, more = {}) => {
  const { status, text, headers } = await ask("POST", "/openai/v1/chat/completions", { model, max_tokens: 400, messages: [{ role: "user", content: "count 3" }], ...more });
  return { status, text: text.slice(0, 200), by: headers["x-cordon-model"] };
};
// The keys are put into the vault first.
while ((await ask("GET", "/v1/inbox?wait_ms=20000")).status !== 200);
const runs = { keys: [] };
for (let i = 0; i < 12; i++) runs.keys.push(await call("rehearsal/counter", { stream: i % 2 === 0, user: "u" + i }));
runs.slow = await call("slow");
runs.late = await call("late");
tell("runs", { runs });
setInterval(() => {}, 1e6);
`;

/** Asks for the dear model until it has no money left for it; the cheap one still fits. */
const saver = `
import { ask, tell } from "./prelude.mjs";
const runs = [];
for (let i = 0; i < 4; i++) {
  const { status, headers } = await ask("POST", "/openai/v1/chat/completions", { model: "thrifty", max_tokens: 16, user: "u" + i, messages: [{ role: "user", content: "x".repeat(600) }] });
  runs.push({ status, by: headers["x-cordon-model"] });
}
tell("runs", { runs });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: keys
providers:
  rehearsal: { credential: [missing, revoked, rehearsal] }
  gold: { api: openai, base_url: "http://127.0.0.1:9/v1", price: { input: 1000, output: 1000 } }
models:
  slow: { chain: ["rehearsal/fault:stall-first", rehearsal/counter], first_byte: 1s }
  late: { chain: ["rehearsal/fault:stall-middle", rehearsal/counter], deadline: 1s }
  thrifty: { chain: [gold/m, rehearsal/counter] }
defaults: { budget: { day: { tokens: 200k } } }
agents:
  caller: { model: rehearsal/counter, command: [/bin/node, /code/caller.mjs], code: code, may: { models: ["rehearsal/fault:*"] } }
  saver: { model: thrifty, command: [/bin/node, /code/saver.mjs], code: code, budget: { day: { usd: 0.10 } } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/caller.mjs": caller,
    "code/saver.mjs": saver,
  });
  await mesh.desk.addCredential("revoked", Buffer.from("a-key-that-is-not-taken"));
  await mesh.desk.send("caller", "go");
});
after(() => mesh.stop());

interface Run {
  readonly status: number;
  readonly text: string;
  readonly by?: string;
}

async function recordsOf(agent: string, kind: string) {
  const { records } = await mesh.desk.audit(0, 1_000);
  return records
    .filter((record) => record.kind === kind && record.subject === `agent:${agent}`)
    .map(({ detail }) => detail);
}

test("a key that is missing or that the provider rejects is passed over, and the next one answers", async () => {
  const told = await eventually("the calls", async () => (await printed(mesh, "caller", "runs"))[0], 60_000);
  const { keys } = told["runs"] as { keys: Run[] };
  for (const { status, text } of keys) assert.equal(status, 200, text);
  const reserved = (await recordsOf("caller", "model.reserved")).filter(({ model }) => model === "rehearsal/counter");
  const used = new Set(reserved.map(({ credential }) => String(credential)));
  assert.deepEqual(
    [...used].toSorted((a, b) => a.localeCompare(b)),
    ["rehearsal", "revoked"],
    "what is missing reserves nothing",
  );
  const settled = await recordsOf("caller", "model.settled");
  assert.equal(settled.length, (await recordsOf("caller", "model.reserved")).length, "each attempt has its own end");
  const skipped = reserved.flatMap((each) => (each["skipped"] as string[] | undefined) ?? []).join("\n");
  assert.match(skipped, /with `missing`: the vault holds no credential `missing`/);
  assert.match(skipped, /with `revoked`: provider `rehearsal` rejected the fleet's credential \(401\)/);
  // The circuit of that key opens, so that not every call knocks there first.
  const { events } = await mesh.desk.events(0, 0);
  const opened = events.filter(({ type }) => type === "model.circuit_open").map(({ detail }) => detail["credential"]);
  assert.ok(opened.includes("revoked"), JSON.stringify(opened));
  assert.ok(!opened.includes("rehearsal"), "the good key stays in use");
});

test("a model that is too slow to begin is left, and the deadline ends the whole call", async () => {
  const told = await eventually("the calls", async () => (await printed(mesh, "caller", "runs"))[0], 60_000);
  const { slow, late } = told["runs"] as { slow: Run; late: Run };
  assert.deepEqual([slow.status, slow.by], [200, "rehearsal/counter"]);
  assert.equal(late.status, 424, late.text);
  const attempts = (await recordsOf("caller", "model.reserved")).filter(({ chain }) => chain === "late");
  assert.ok(
    attempts.length >= 1 && attempts.every(({ model }) => model !== "rehearsal/counter"),
    "time was up before it",
  );
});

test("when the wanted model is too dear for what is left, a cheaper one answers", async () => {
  const told = await eventually("the savings", async () => (await printed(mesh, "saver", "runs"))[0], 60_000);
  for (const run of told["runs"] as Run[]) assert.deepEqual([run.status, run.by], [200, "rehearsal/counter"]);
  const [first] = await recordsOf("saver", "model.reserved");
  assert.match(
    String((first?.["skipped"] as string[] | undefined)?.[0]),
    /gold\/m: the day budget of `agent:saver` has /,
  );
  assert.equal(
    (await mesh.desk.status()).agents.find(({ name }) => name === "saver")?.phase,
    "running",
    "it is not halted",
  );
  assert.deepEqual(
    (await mesh.desk.costs()).lines.filter(({ reserved }) => reserved > 0),
    [],
  );
});
