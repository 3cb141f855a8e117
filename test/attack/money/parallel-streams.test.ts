/** 200 streams at once against a cap that is worth three; a provider that lies; what is left afterwards. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { observeBudgets, type BudgetObserver } from "../../fleet/budget-observer.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const CAP_TOKENS = 3_900;
const STREAMS = 200;

const spender = `
import { ask, tell } from "./prelude.mjs";
const call = (content, more = {}) => ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/fault", max_tokens: 1000, messages: [{ role: "user", content }], ...more });
const burst = async (index) => {
  const { status, text, headers } = await call("count 1000", { stream: index % 4 !== 0 });
  const received = (text.match(/"completion_tokens":(\\d+)/g) ?? []).reduce((sum, each) => sum + Number(each.split(":")[1]), 0);
  tell("burst", status === 200 ? { status, received } : { status, code: JSON.parse(text).error.code, retry: headers["x-should-retry"] });
};
await Promise.all(Array.from({ length: ${STREAMS} }, (_, index) => burst(index)));
for (let i = 0; i < 12; i++) tell("again", { status: (await call("count 1000")).status });
setInterval(() => {}, 1e6);
`;

const liar = `
import { ask, tell } from "./prelude.mjs";
const results = [];
for (const content of ["fault overrun: count 900", "fault usage-low: count 900", "fault usage-missing: count 900", "fault cut-middle: count 400"]) {
  for (const stream of [true, false]) {
    const { status, text } = await ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/fault", stream, max_tokens: 100, messages: [{ role: "user", content }] });
    results.push({ content, stream, status, words: (text.match(/"content":"/g) ?? []).length, ended: text.includes("[DONE]") });
  }
}
tell("lies", { results });
setInterval(() => {}, 1e6);
`;

/** Numbers that are short to send and long to pay: each has 4 bytes here and 21 where the provider reads it. */
const inflater = `
import { ask, tell } from "./prelude.mjs";
const body = JSON.stringify({ model: "rehearsal/fault", max_tokens: 16, messages: [{ role: "user", content: "count 3" }], tools: [{ type: "function", function: { name: "f", parameters: { enum: ["@"] } } }] });
const { status } = await ask("POST", "/openai/v1/chat/completions", body.replace('"@"', Array(2000).fill("1e20").join(",")));
tell("inflated", { status });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;
let observer: BudgetObserver;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: money
defaults: { model: rehearsal/fault, budget: { day: { tokens: 100k, usd: 5.00 } } }
agents:
  spender: { command: [/bin/node, /code/spender.mjs], code: code, budget: { day: { tokens: ${CAP_TOKENS} } } }
  inflater: { command: [/bin/node, /code/inflater.mjs], code: code }
  liar: { command: [/bin/node, /code/liar.mjs], code: code }
  bystander: { instructions: calm.md, model: rehearsal/echo }
`,
    "calm.md": "You echo.",
    "code/prelude.mjs": attackerPrelude,
    "code/spender.mjs": spender,
    "code/liar.mjs": liar,
    "code/inflater.mjs": inflater,
  });
  observer = observeBudgets(mesh.desk);
});

after(async () => {
  await observer.end();
  await mesh.stop();
});

test("of 200 calls at once only those that the cap can pay are answered, and the agent is halted", async () => {
  const halted = await eventually("the halt", async () => {
    const spender = (await mesh.desk.status()).agents.find((agent) => agent.name === "spender");
    return spender?.phase === "halted" ? spender : undefined;
  });
  assert.match(halted.reason, /budget of `agent:spender` is used up/);
  // A slow sandbox is stopped before it has told all: what it told is judged, and the audit knows the rest.
  const burst = await printed(mesh, "spender", "burst");
  const refused = burst.filter((each) => each["status"] !== 200);
  assert.ok(refused.some((each) => each["status"] === 402));
  for (const each of refused) {
    // The first refusal halts the agent: what arrives after it is refused for that.
    assert.ok(["402 budget_exhausted", "403 halted"].includes(`${String(each["status"])} ${String(each["code"])}`));
    if (each["status"] === 402) assert.equal(each["retry"], "false", "the refusal is terminal");
  }
  const received = burst.reduce((sum, each) => sum + Number(each["received"] ?? 0), 0);
  assert.ok(received > 0 && received <= CAP_TOKENS, `${received} tokens received`);
  const { records } = await mesh.desk.audit(0, 1_000);
  const sent = records.filter((record) => record.kind === "model.reserved" && record.subject === "agent:spender");
  // Three whole answers, and shorter ones in what the input bound of those three gives back.
  assert.ok(sent.length >= 3 && sent.length <= 8, `${sent.length} calls were sent`);
});

test("what a halted agent asks for is refused, the others go on", async () => {
  for (const each of await printed(mesh, "spender", "again"))
    assert.ok([200, 402, 403].includes(each["status"] as number));
  const { conversation } = await mesh.desk.send("bystander", "are you there?");
  const reply = await mesh.desk.reply(conversation, 0, 20_000);
  assert.equal(reply?.body, "are you there?");
});

test("a provider that writes on, lies or breaks off is charged for, and cut", async () => {
  const { results } = await eventually("the lies", async () => (await printed(mesh, "liar", "lies"))[0], 60_000);
  const rows = results as { content: string; stream: boolean; status: number; words: number; ended: boolean }[];
  const overrun = rows.find((row) => row.content.includes("overrun") && row.stream);
  assert.ok(overrun && overrun.words <= 101, `${overrun?.words} words of 100 came through`);
  assert.ok(overrun.ended, "and the stream ended in good form");
  const { records } = await mesh.desk.audit(0, 1_000);
  const settled = records.filter((record) => record.kind === "model.settled" && record.subject === "agent:liar");
  assert.equal(settled.length, rows.length, "each call has one end");
  const charge = (index: number): number => Number(settled[index]?.detail["tokens"] ?? -1);
  assert.ok(charge(2) >= 100, `usage told too low is charged as seen: ${charge(2)}`);
  assert.equal(settled[4]?.detail["charged"], "reservation", "missing usage is charged as reserved");
});

test("a body that grows when it is written anew is held at its size as sent", async () => {
  const told = await eventually("the inflated call", async () => (await printed(mesh, "inflater", "inflated"))[0]);
  assert.equal(told["status"], 200);
  const { records } = await mesh.desk.audit(0, 1_000);
  const held = records.find((record) => record.kind === "model.reserved" && record.subject === "agent:inflater");
  assert.ok(Number(held?.detail["tokens"]) > 2_000 * 21, `${String(held?.detail["tokens"])} tokens held`);
});

test("settled + reserved never passed any cap, and nothing stays reserved", async () => {
  observer.assertHeld("agent:spender day tokens");
  const held = (await mesh.desk.costs()).lines.filter((line) => line.reserved > 0);
  assert.deepEqual(held, []);
});
