/**
 * What an agent can try with the parameters of a call, with names, with its own end of the line, and what people do
 * meanwhile: caps that are lowered, members that move, names that come back.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openReadOnly } from "../../../mesh/store/open.ts";
import type { AuditRow, BudgetLine } from "../../../protocol/desk.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { startBilling, type BillingProvider } from "./billing-provider.ts";

const trickster = `
import http from "node:http";
import { ask, tell } from "./prelude.mjs";
const chat = (fields) => ask("POST", "/openai/v1/chat/completions", { model: "bank/dear", max_tokens: 50, messages: [{ role: "user", content: "a question of some length, so that there is something to count in it" }], ...fields });
const code = (text) => { try { return JSON.parse(text).error.code; } catch { return ""; } };
const tried = {};
const note = async (name, answer) => { const { status, text, headers } = await answer; tried[name] = { status, code: code(text), retry: headers?.["x-should-retry"] }; };
for (const max of [1e308, -5, 1.5, 0, 9007199254740993, null, "10", 128001]) await note("max_tokens " + JSON.stringify(max), chat({ max_tokens: max }));
for (const n of [128, 0, -1, 1.5, 9]) await note("n " + n, chat({ n }));
await note("max_tokens " + "1e400", ask("POST", "/openai/v1/chat/completions", '{"model":"bank/dear","max_tokens":1e400,"messages":[{"role":"user","content":"x"}]}'));
for (const model of ["bank/none", "nowhere/x", "bank/../openai", "tiny ", "", "openai/gpt-no-such"]) await note("model " + model, chat({ model }));
for (const path of ["images/generations", "audio/transcriptions", "audio/speech", "batches", "files", "videos", "realtime", "completions", "fine_tuning/jobs"]) await note("path " + path, ask("POST", "/openai/v1/" + path, { model: "bank/dear", prompt: "x" }));
await note("hosted tool", chat({ tools: [{ type: "web_search" }] }));
await note("service tier", chat({ service_tier: "priority" }));
await note("predicted", chat({ prediction: { type: "content", content: "x" } }));
await note("sound", chat({ modalities: ["audio"], audio: { voice: "x", format: "wav" } }));
await note("image by address", chat({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "http://127.0.0.1/x.png" } }] }] }));
tell("refused", { tried });

const good = {};
const done = async (name, answer) => { good[name] = (await answer).status; };
await done("alias", chat({ model: "tiny" }));
await done("eight answers", chat({ n: 8 }));
await done("all there is", chat({ max_tokens: 128000, messages: [{ role: "user", content: "huge" }] }));
await done("detailed", chat({ max_tokens: 200, messages: [{ role: "user", content: "detailed " + "x".repeat(100) }] }));
await done("embeddings", ask("POST", "/openai/v1/embeddings", { model: "bank/embed", input: ["a", "b"] }));
tell("good", { good });

const leave = (text, when) => new Promise((resolve) => {
  let words = 0;
  const request = http.request({ socketPath: "/run/cordon/door.sock", method: "POST", path: "/openai/v1/chat/completions", agent: false, headers: { "content-type": "application/json" } }, (response) => {
    response.on("data", (piece) => { words += (String(piece).match(/"w\\d+ "/g) ?? []).length; if (words >= when) request.destroy(); });
    response.on("close", () => resolve(words)).on("error", () => resolve(words));
  });
  request.on("error", () => resolve(words));
  request.end(JSON.stringify({ model: "bank/dear", max_tokens: 60, stream: true, messages: [{ role: "user", content: text }] }));
  if (when === 0) setTimeout(() => request.destroy(), 15);
});
const left = {};
for (const [name, text, when] of [["at once", "slowly one", 0], ["in the middle", "slowly two", 15], ["before the last", "slowly three", 39], ["provider early", "die early", 1e9], ["provider late", "die late", 1e9]]) left[name] = await leave(text, when);
tell("left", { left });
setInterval(() => {}, 1e6);
`;

/** Wants more than any window has, again and again, as an SDK would that tries a refused call once more. */
const retrier = `
import { ask, tell } from "./prelude.mjs";
const statuses = [];
for (let i = 0; i < 50; i++) {
  const { status, headers } = await ask("POST", "/openai/v1/chat/completions", { model: "bank/dear", max_tokens: 50, messages: [{ role: "user", content: "retried " + "x".repeat(9000) }] });
  statuses.push(status + " " + headers["x-should-retry"]);
}
tell("retried", { statuses: [...new Set(statuses)] });
setInterval(() => {}, 1e6);
`;

/** Keeps one stream open, and asks for little things meanwhile. */
const holder = `
import { ask, tell } from "./prelude.mjs";
const chat = (content, stream) => ask("POST", "/openai/v1/chat/completions", { model: "bank/dear", max_tokens: 60, stream, messages: [{ role: "user", content }] });
void chat("wait", true).then(({ status }) => tell("waited", { status }));
for (let i = 0; ; i++) {
  const { status } = await chat("small " + i, false);
  tell("small", { i, status });
  await new Promise((resolve) => setTimeout(resolve, 150));
}
`;

const fleet = (port: number, teams: string, agents: readonly string[]): string => `
version: 1
fleet: tricks
providers: { bank: { api: openai, base_url: "http://127.0.0.1:${port}/v1", price: { input: 100, output: 1000 } } }
prices: { bank/dear: { input: 100, output: 1000, cache_read: 10, cache_write: 125 } }
models: { tiny: bank/dear }
teams: ${teams}
defaults: { model: bank/dear, budget: { day: { tokens: 100k, usd: 60.00 } } }
agents:
${agents.map((each) => `  ${each}\n`).join("")}`;
const agents = {
  trickster:
    "trickster: { command: [/bin/node, /code/trickster.mjs], code: code, may: { models: [bank/dear, bank/embed, openai/gpt-no-such] } }",
  retrier: "retrier: { command: [/bin/node, /code/retrier.mjs], code: code, budget: { day: { tokens: 5000 } } }",
  holder: "holder: { command: [/bin/node, /code/holder.mjs], code: code }",
  calm: "calm: { instructions: calm.md, model: rehearsal/echo }",
};

let bank: BillingProvider;
let mesh: MeshFixture;
before(async () => {
  bank = await startBilling();
  mesh = await startMesh({
    "cordon.yaml": fleet(
      bank.port,
      "{ red: { members: [retrier, holder] }, blue: { members: [trickster] } }",
      Object.values(agents),
    ),
    "calm.md": "You echo.",
    "code/prelude.mjs": attackerPrelude,
    "code/trickster.mjs": trickster,
    "code/retrier.mjs": retrier,
    "code/holder.mjs": holder,
  });
});
after(async () => {
  bank.close();
  await mesh.stop();
});

async function records(kind: string, agent: string): Promise<AuditRow[]> {
  const all: AuditRow[] = [];
  for (let from = 0; ;) {
    const page = await mesh.desk.audit(from, 1_000);
    all.push(...page.records);
    if (page.records.length === 0) return all.filter((each) => each.kind === kind && each.subject === `agent:${agent}`);
    from = page.next;
  }
}
const linesOf = async (): Promise<readonly BudgetLine[]> => (await mesh.desk.costs()).lines;
const told = (agent: string, kind: string): Promise<Record<string, unknown>> =>
  eventually(`${kind} of ${agent}`, async () => (await printed(mesh, agent, kind))[0], 60_000);

test("a number, a name, a route or a tool without a bound is refused before anything is held or sent", async () => {
  const { tried } = await told("trickster", "refused");
  const all = Object.entries(tried as Record<string, { status: number; code: string }>);
  assert.ok(all.length >= 33);
  for (const [name, { status, code }] of all) assert.ok(status >= 400 && status < 500, `${name}: ${status} ${code}`);
  await told("trickster", "good");
  const first = bank.received.find(({ text }) => text.includes("a question of some length"));
  assert.ok(first, "and what is well formed is sent");
  assert.equal(bank.received.filter(({ path }) => !/\/(chat\/completions|embeddings)$/.test(path)).length, 0);
});

test("an alias costs what it stands for, n counts n times, a bound is clamped to what can be paid", async () => {
  const { good } = await told("trickster", "good");
  assert.deepEqual(Object.values(good as object), [200, 200, 200, 200, 200]);
  const held = await records("model.reserved", "trickster");
  const [alias, eight, huge] = held.map(({ detail }) => detail);
  assert.equal(alias?.["model"], "bank/dear");
  assert.equal(alias?.["price"], "fleet file");
  const inputOf = (tokens: number, output: number): number => tokens - output;
  const input = inputOf(Number(alias?.["tokens"]), 50);
  assert.equal(alias?.["micro_usd"], input * 125 + 50 * 1_000, "at the dearest rate that input can have");
  assert.ok(inputOf(Number(eight?.["tokens"]), 8 * 50) > 0, "eight answers are held eight times");
  assert.ok(Number(eight?.["micro_usd"]) > 8 * 50 * 1_000);
  const asked = bank.received.find(({ text }) => text.includes("huge"));
  assert.ok(
    asked && asked.maxTokens > 10_000 && asked.maxTokens < 60_000,
    `${asked?.maxTokens} of 128000 were asked for`,
  );
  assert.ok(Number(huge?.["micro_usd"]) <= 60_000_000);
});

test("tokens of the cache, those that are written to it, and hidden ones are charged at their own rates", async () => {
  await told("trickster", "left");
  const settled = (await records("model.settled", "trickster")).map(({ detail }) => detail);
  const detailed = settled.find((each) => each["cache_read_tokens"] === 60);
  assert.ok(detailed);
  assert.equal(detailed["micro_usd"], 20 * 100 + 60 * 10 + 20 * 125 + 50 * 1_000);
  assert.equal(detailed["output_tokens"], 50, "what is hidden shows in the total only");
  const embedded = settled.find((each) => each["model"] === "bank/embed");
  assert.deepEqual([embedded?.["charged"], embedded?.["input_tokens"]], ["usage", 12]);
});

test("whoever hangs up first, and when: what passed is charged, and nothing stays held", async () => {
  const { left } = await told("trickster", "left");
  const words = left as Record<string, number>;
  const ends = await eventually("all ends", async () => {
    const found = (await records("model.settled", "trickster")).map(({ detail }) => detail);
    return found.length === (await records("model.reserved", "trickster")).length ? found.slice(-5) : undefined;
  });
  const [, middle, last, , late] = ends.map((each) => Number(each["output_tokens"]));
  for (const each of ends)
    assert.ok(Number(each["micro_usd"]) > 0, `a provider that was asked charges: ${JSON.stringify(each)}`);
  assert.ok((middle ?? 0) >= (words["in the middle"] ?? 99) && (last ?? 0) >= (words["before the last"] ?? 99));
  assert.ok((late ?? 0) >= (words["provider late"] ?? 99) && (words["provider late"] ?? 0) > 30);
  const mine = (await linesOf()).filter(({ scope }) => scope === "agent:trickster");
  assert.deepEqual(
    mine.filter(({ reserved }) => reserved > 0),
    [],
  );
});

test("fifty retries of a refused call cost nothing, reach nobody, and are told not to retry", async () => {
  const { statuses } = await told("retrier", "retried");
  assert.deepEqual(statuses, ["402 false"]);
  assert.equal(bank.received.filter(({ text }) => text.includes("retried")).length, 0);
  const spent = (await linesOf()).filter(({ scope }) => scope === "agent:retrier");
  assert.ok(spent.every(({ settled, reserved }) => settled === 0 && reserved === 0));
});

test("a cap lowered below what is held stops the next call, and takes nothing back; raised, it opens again", async () => {
  const last = async (): Promise<unknown> => (await printed(mesh, "holder", "small")).at(-1)?.["status"];
  await eventually("little calls", async () => ((await last()) === 200 ? true : undefined));
  await eventually("an open stream", async () => bank.received.find(({ text }) => text.includes("wait")));
  const cap = { scope: "agent:holder", window: "day", unit: "tokens" } as const;
  const lowered = await mesh.desk.setBudget({ ...cap, cap: 1 });
  assert.ok(lowered.reserved > 0 && lowered.cap === 1);
  await eventually("a refusal", async () => ((await last()) === 402 ? true : undefined));
  const before = bank.received.length;
  const count = (await printed(mesh, "holder", "small")).length;
  await eventually("more tries", async () => (await printed(mesh, "holder", "small")).length > count + 4 || undefined);
  assert.equal(bank.received.length, before, "nothing more is sent");
  bank.release();
  assert.equal((await told("holder", "waited"))["status"], 200, "what was paid for is delivered");
  const line = async () =>
    (await linesOf()).find((each) => each.scope === cap.scope && each.window === "day" && each.unit === "tokens");
  const ended = await eventually("the end of the hold", async () => {
    const found = await line();
    return found?.reserved === 0 ? found : undefined;
  });
  assert.ok(ended.settled > 1, "spend is never lost");
  await mesh.desk.setBudget({ ...cap, cap: null });
  await eventually("an answer again", async () => ((await last()) === 200 ? true : undefined));
});

test("a member that moves, and an agent that is deleted and made again, leave and find what was spent", async () => {
  const spent = async (scope: string): Promise<number> =>
    (await linesOf()).find((line) => line.scope === scope && line.window === "month" && line.unit === "usd")?.settled ??
    -1;
  const again = async (teams: string, names: readonly (keyof typeof agents)[]): Promise<void> => {
    await mesh.end();
    writeFileSync(
      join(mesh.folder, "cordon.yaml"),
      fleet(
        bank.port,
        teams,
        names.map((name) => agents[name]),
      ),
    );
    mesh = await mesh.again();
  };
  await again("{ red: { members: [calm] }, blue: { members: [calm] } }", ["calm"]);
  const red = await spent("team:red");
  const blue = await spent("team:blue");
  const whole = await spent("fleet");
  assert.ok(red > 0 && blue > 0 && whole === red + blue, "those who spent it are gone, and it is not");
  const own = usedOnDisk("agent:trickster");
  assert.ok(own > 0);
  // Back again, under the same name and in another team, with a budget that is below what it spent.
  agents.trickster = agents.trickster.replace("may:", "budget: { month: { usd: 0.01 } }, may:");
  await again("{ red: { members: [trickster] }, blue: { members: [calm] } }", ["calm", "trickster"]);
  assert.ok((await spent("agent:trickster")) >= own);
  assert.ok((await spent("team:blue")) >= blue, "what it spent for its old team stays there");
  const sent = bank.received.length;
  await told("trickster", "refused");
  assert.equal(bank.received.length, sent, "the name is no new purse");
  assert.equal(await spent("fleet"), whole);
});

function usedOnDisk(scope: string): number {
  const store = openReadOnly(mesh.state);
  try {
    return store.query.ledger.usage().reduce((sum, row) => sum + (row.scope === scope ? row.microUsd : 0), 0);
  } finally {
    store.close();
  }
}
