/** Agents that loop, in real sandboxes: the same call over and over, and a day's money in one go. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const looper = (calls: number, content: string): string => `
import { ask, tell } from "./prelude.mjs";
for (let i = 0; i < ${calls}; i++) {
  const body = { model: process.argv[2], max_tokens: 900, messages: [{ role: "user", content: ${content} }] };
  const { status, text } = await ask("POST", "/openai/v1/chat/completions", i % 2 ? body : JSON.stringify(body, null, 1 + (i % 5)));
  const error = status === 200 ? {} : JSON.parse(text).error;
  tell("called", { status, code: error.code, message: error.message });
}
tell("through", {});
setInterval(() => {}, 1e6);
`;

/** All at once, so that no answer comes before the last is asked. */
const flooder = `
import { ask, tell } from "./prelude.mjs";
const body = { model: "rehearsal/counter", max_tokens: 5, messages: [{ role: "user", content: "count 3" }] };
const all = await Promise.all(Array.from({ length: 100 }, () => ask("POST", "/openai/v1/chat/completions", body)));
tell("flood", { answered: all.filter(({ status }) => status === 200).length });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: runaway
defaults:
  model: rehearsal/counter
  budget: { day: { usd: 5.00 } }
  runaway: { identical_calls: 6, identical_within: 1h }
agents:
  looper: { command: [/bin/node, /code/looper.mjs, rehearsal/counter], code: code }
  flooder: { command: [/bin/node, /code/flooder.mjs], code: code }
  spendthrift: { command: [/bin/node, /code/spendthrift.mjs, rehearsal/counter], code: code, runaway: { spend_percent: 1, spend_within: 1h } }
  allowed: { command: [/bin/node, /code/allowed.mjs, rehearsal/counter], code: code, runaway: off }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/looper.mjs": looper(12, '"count 3"'),
    "code/flooder.mjs": flooder,
    // Another call each time: what gives it away is the money.
    "code/spendthrift.mjs": looper(40, '"count 800 " + i'),
    "code/allowed.mjs": looper(12, '"count 3"'),
  });
});
after(() => mesh.stop());

const haltOf = (agent: string) =>
  eventually(`the halt of ${agent}`, async () =>
    (await mesh.desk.status()).agents.find(({ name, phase }) => name === agent && phase === "halted"),
  );
const eventOf = async (agent: string) =>
  (await mesh.desk.events(0, 0)).events.find((event) => event.type === "agent.runaway" && event.agent === agent);
const settledOf = async (agent: string) =>
  (await mesh.desk.audit(0, 1_000)).records.filter(
    ({ kind, subject }) => kind === "model.settled" && subject === `agent:${agent}`,
  );

test("the same call over and over halts the agent, whatever its white space; only a person starts it again", async () => {
  const halted = await haltOf("looper");
  assert.match(halted.reason, /runs away: it made the same model call 7 times within 3600 s/);
  const calls = await printed(mesh, "looper", "called");
  const answered = calls.filter(({ status }) => status === 200);
  assert.ok(answered.length <= 6 && calls.length > 0, `${answered.length} of ${calls.length} were answered`);
  for (const call of calls.filter(({ status }) => status !== 200))
    assert.deepEqual([call["status"], call["code"]], [403, "halted"]);
  await eventually("the calls before the halt", async () =>
    (await settledOf("looper")).length === 6 ? true : undefined,
  );
  const event = await eventOf("looper");
  assert.deepEqual([event?.detail["kind"], event?.detail["seen"]], ["identical_calls", 7]);
  const { records } = await mesh.desk.audit(0, 1_000);
  const record = records.find(({ kind, detail }) => kind === "agent.halted" && detail["agent"] === "looper");
  assert.equal(record?.detail["cause"], "identical_calls");
});

test("calls at once are counted before they are sent", async () => {
  await haltOf("flooder");
  const reserved = (await mesh.desk.audit(0, 1_000)).records.filter(
    ({ kind, subject }) => kind === "model.reserved" && subject === "agent:flooder",
  );
  assert.ok(reserved.length <= 6, `${reserved.length} calls were sent`);
  await eventually("their ends", async () => ((await settledOf("flooder")).length === 6 ? true : undefined));
});

test("a share of the day's money within a short time halts the agent, though each call is another", async () => {
  const halted = await haltOf("spendthrift");
  assert.match(halted.reason, /runs away: it spent \$0\.\d+ within 3600 s, and \$0\.05 is its bound/);
  const spent = (await settledOf("spendthrift")).reduce((sum, { detail }) => sum + Number(detail["micro_usd"]), 0);
  // One call above the bound, and none after it.
  assert.ok(spent > 50_000 && spent < 50_000 + 2 * 20_000, `${spent} micro-USD`);
  assert.equal((await eventOf("spendthrift"))?.detail["kind"], "spend");
});

test("an agent that may is not halted, and the halted ones begin anew when a person starts them", async () => {
  await eventually("the end of its calls", async () => (await printed(mesh, "allowed", "through"))[0]);
  const calls = await printed(mesh, "allowed", "called");
  assert.deepEqual(
    calls.map(({ status }) => status),
    Array<number>(12).fill(200),
  );
  const before = (await settledOf("looper")).length;
  await mesh.restart("looper");
  await eventually("its calls", async () => ((await settledOf("looper")).length > before ? true : undefined));
});
