/**
 * Chains of models under a hostile agent: 200 calls at once against a first model that always fails, with a cap worth
 * three; answers of another format; who answers after a fault of the caller, after the first byte, after a halt.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { observeBudgets, type BudgetObserver } from "../../fleet/budget-observer.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const CAP_TOKENS = 3_900;
const CALLS = 200;

const spender = `
import { ask, tell } from "./prelude.mjs";
const burst = async (index) => {
  const stream = index % 4 !== 0;
  const body = { model: "failing", max_tokens: 1000, messages: [{ role: "user", content: "count 1000" }], stream };
  const { status, text, headers } = await ask("POST", "/openai/v1/chat/completions", body);
  const received = (text.match(/"completion_tokens":(\\d+)/g) ?? []).reduce((sum, each) => sum + Number(each.split(":")[1]), 0);
  tell("burst", status === 200 ? { status, received, by: headers["x-cordon-model"], done: !stream || text.includes("[DONE]") } : { status, code: JSON.parse(text).error.code });
};
await Promise.all(Array.from({ length: ${CALLS} }, (_, index) => burst(index)));
// Until what is settled leaves no room for one more.
for (let i = 0; i < 12; i++) await burst(i);
setInterval(() => {}, 1e6);
`;

const chooser = `
import { ask, tell } from "./prelude.mjs";
const answers = [];
const openai = (model, content, more = {}) => ask("POST", "/openai/v1/chat/completions", { model, max_tokens: 50, messages: [{ role: "user", content }], ...more });
const anthropic = (model, content, more = {}) => ask("POST", "/anthropic/v1/messages", { model, max_tokens: 50, messages: [{ role: "user", content }], ...more }, { "anthropic-version": "2023-06-01" });
const note = (what, { status, text, headers }) => answers.push({ what, status, text, by: headers?.["x-cordon-model"] });
for (const stream of [false, true]) {
  note("openai", await openai("foreign", "hello there", { stream }));
  note("anthropic", await anthropic("strange", "hello there", { stream }));
}
note("unsayable", await openai("foreign", "hello there", { seed: 7 }));
note("forbidden", await openai("forbidden", "hello there"));
note("not mine", await openai("closed", "count 3"));
note("partly", await openai("partly", "fault cut-middle: count 40", { stream: true }));
note("caller", await openai("partly", "fault status-400: count 40"));
note("unknown", await openai("no-such-chain", "x"));
tell("answers", { answers });
setInterval(() => {}, 1e6);
`;

const FAULTS = ["status-429", "status-403", "status-529", "status-401", "cut-first"];
const twice = `
import { ask, tell } from "./prelude.mjs";
const rounds = [];
for (const fault of ${JSON.stringify(FAULTS)}) {
  for (const stream of [false, true]) {
    const { status, headers } = await ask("POST", "/openai/v1/chat/completions", { model: fault, stream, max_tokens: 20, messages: [{ role: "user", content: "count 3" }] });
    rounds.push({ fault, stream, status, by: headers["x-cordon-model"] });
  }
}
tell("rounds", { rounds });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;
let observer: BudgetObserver;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: failover
providers:
  claudish: { api: anthropic, base_url: "http://127.0.0.1:9/v1", price: { input: 1, output: 1 } }
  chattish: { api: openai, base_url: "http://127.0.0.1:9/v1", price: { input: 1, output: 1 } }
models:
  failing: { chain: ["rehearsal/fault:status-500", rehearsal/counter] }
  foreign: { chain: [claudish/a, rehearsal/echo] }
  strange: { chain: [chattish/a, rehearsal/echo] }
  partly: { chain: [rehearsal/fault, rehearsal/counter] }
  closed: { chain: ["openai/gpt-5", "rehearsal/fault:status-500"] }
  forbidden: { chain: ["openai/gpt-5", rehearsal/echo] }
${FAULTS.map((fault) => `  ${fault}: { chain: ["rehearsal/fault:${fault}", rehearsal/counter] }`).join("\n")}
defaults: { budget: { day: { tokens: 100k, usd: 5.00 } } }
agents:
  spender: { model: failing, command: [/bin/node, /code/spender.mjs], code: code, budget: { day: { tokens: ${CAP_TOKENS} } } }
  chooser: { model: rehearsal/echo, command: [/bin/node, /code/chooser.mjs], code: code, may: { models: ["claudish/*", "chattish/*", rehearsal/fault, rehearsal/counter] } }
  twice: { model: rehearsal/counter, command: [/bin/node, /code/twice.mjs], code: code, may: { models: ["rehearsal/fault:*"] } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/spender.mjs": spender,
    "code/chooser.mjs": chooser,
    "code/twice.mjs": twice,
  });
  observer = observeBudgets(mesh.desk);
});

after(async () => {
  await observer.end();
  await mesh.stop();
});

interface Told {
  readonly kind: string;
  readonly hold: string;
  readonly model: string;
  readonly chain?: string;
  readonly attempt?: number;
  readonly skipped?: readonly string[];
  readonly outcome?: string;
  readonly tokens: number;
}

async function recordsOf(agent: string): Promise<Told[]> {
  const found: Told[] = [];
  for (let from = 0; ;) {
    const { records } = await mesh.desk.audit(from, 1_000);
    if (records.length === 0) return found;
    for (const { kind, subject, detail } of records)
      if (subject === `agent:${agent}` && kind.startsWith("model.")) found.push({ kind, ...detail } as unknown as Told);
    from = records.at(-1)?.seq ?? Infinity;
  }
}

const settledOf = (records: readonly Told[], { hold }: Told): Told[] =>
  records.filter((record) => record.kind === "model.settled" && record.hold === hold);

test("200 calls against a failing model cost no more than the cap, and each attempt has one end of its own", async () => {
  await eventually("the halt", async () =>
    (await mesh.desk.status()).agents.find(({ name, phase }) => name === "spender" && phase === "halted"),
  );
  const records = await eventually("every end", async () => {
    const seen = await recordsOf("spender");
    const reserved = seen.filter(({ kind }) => kind === "model.reserved");
    return reserved.every((each) => settledOf(seen, each).length === 1) ? seen : undefined;
  });
  const burst = await printed(mesh, "spender", "burst");
  const answered = burst.filter(({ status }) => status === 200);
  assert.ok(answered.length > 0);
  for (const each of answered) assert.deepEqual([each["by"], each["done"]], ["rehearsal/counter", true]);
  for (const { status, code } of burst.filter((each) => each["status"] !== 200))
    assert.ok(["402 budget_exhausted", "403 halted"].includes(`${String(status)} ${String(code)}`));
  const received = answered.reduce((sum, each) => sum + Number(each["received"] ?? 0), 0);
  assert.ok(received > 0 && received <= CAP_TOKENS, `${received} tokens received`);

  const reserved = records.filter(({ kind }) => kind === "model.reserved");
  assert.ok(reserved.some(({ attempt }) => attempt === 1));
  for (const each of reserved) {
    const [end] = settledOf(records, each);
    assert.equal(each.chain, "failing");
    assert.deepEqual([end?.chain, end?.attempt], [each.chain, each.attempt], "an end says of which attempt it is");
    if (each.model === "rehearsal/fault:status-500")
      assert.equal(end?.tokens ?? 0, 0, "what failed unanswered is free");
  }
  const spent = records.reduce((sum, { kind, tokens }) => sum + (kind === "model.settled" ? (tokens ?? 0) : 0), 0);
  assert.ok(spent > 0 && spent <= CAP_TOKENS, `${spent} tokens charged`);
});

interface Answer {
  readonly what: string;
  readonly status: number;
  readonly text: string;
  readonly by?: string;
}

test("the agent gets the format that it asked in, from whoever could answer; nothing else makes another model answer", async () => {
  const told = await eventually("the answers", async () => (await printed(mesh, "chooser", "answers"))[0], 60_000);
  const answers = told["answers"] as Answer[];
  const of = (what: string): Answer[] => answers.filter((answer) => answer.what === what);
  for (const answer of [...of("openai"), ...of("anthropic")])
    assert.deepEqual([answer.status, answer.by], [200, "rehearsal/echo"], answer.text);
  assert.match(of("openai")[0]?.text ?? "", /"chat\.completion"/);
  assert.match(of("openai")[1]?.text ?? "", /\[DONE\]/);
  assert.match(of("anthropic")[0]?.text ?? "", /"type":"message"/);
  assert.match(of("anthropic")[1]?.text ?? "", /message_stop/);
  const [unsayable] = of("unsayable");
  assert.deepEqual([unsayable?.status, unsayable?.by], [200, "rehearsal/echo"]);
  const [forbidden] = of("forbidden");
  assert.deepEqual([forbidden?.status, forbidden?.by], [200, "rehearsal/echo"]);
  const records = await recordsOf("chooser");
  const skipped = records.flatMap((record) => record.skipped ?? []).join("\n");
  assert.match(skipped, /claudish\/a: cannot be said in the anthropic format: `seed` has no counterpart/);
  assert.match(skipped, /claudish\/a: provider `claudish` did not answer \(ECONNREFUSED\)/);
  assert.match(skipped, /openai\/gpt-5: model `openai\/gpt-5` is not one of `chooser`'s/);
  assert.deepEqual(
    of("not mine").map(({ status }) => status),
    [403],
    "a chain of which it may use no model",
  );
  const [partly] = of("partly");
  assert.match(partly?.text ?? "", /: cordon upstream_broken/, "after the first byte nobody else answers");
  assert.equal(partly?.by, "rehearsal/fault");
  assert.deepEqual(
    of("caller").map(({ status, by }) => [status, by]),
    [[400, "rehearsal/fault"]],
    "a fault of the caller is told by who found it",
  );
  assert.equal(of("unknown")[0]?.status, 403);
  assert.ok(!records.some(({ model }) => model === "openai/gpt-5"), "a model that it may not call was never reserved");
});

test("overload, faults, a rejected credential and a broken connection make the next model answer; the circuit opens", async () => {
  const told = await eventually("the rounds", async () => (await printed(mesh, "twice", "rounds"))[0], 60_000);
  const rounds = told["rounds"] as { fault: string; status: number; by?: string }[];
  assert.equal(rounds.length, 2 * FAULTS.length);
  for (const { fault, status, by } of rounds) assert.deepEqual([status, by], [200, "rehearsal/counter"], fault);
  const records = await recordsOf("twice");
  const second = records.filter(({ kind, attempt }) => kind === "model.reserved" && attempt === 2);
  const skipped = second.flatMap((each) => each.skipped ?? []).join("\n");
  for (const reason of [
    /status 429/,
    /\(403\)/,
    /status 529/,
    /rejected the fleet's credential \(401\)/,
    /did not answer/,
  ])
    assert.match(skipped, reason);
  const { events } = await mesh.desk.events(0, 0);
  const opened = events.filter(({ type }) => type === "model.circuit_open").map(({ detail }) => detail);
  const { circuits } = await mesh.desk.status();
  assert.ok(
    circuits.some(({ model }) => model === "fault:status-500"),
    "and people see it",
  );
  assert.ok(
    opened.some(({ provider, model }) => provider === "rehearsal" && model === "fault:status-500"),
    JSON.stringify(opened),
  );
});

test("settled + reserved never passed any cap, and nothing stays reserved", async () => {
  observer.assertHeld("agent:spender day tokens");
  const held = (await mesh.desk.costs()).lines.filter((line) => line.reserved > 0);
  assert.deepEqual(held, []);
});
