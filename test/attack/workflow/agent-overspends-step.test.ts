/** A hijacked agent tries to spend more than its step may: at once, after a new start, and out of another run's purse. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RunDetail } from "../../../protocol/run.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const CAP_TOKENS = 4_000;
const RICH_TOKENS = 50_000;
const STREAMS = 40;

/** Does what its task says; what it has learnt outlives it in /data. */
const spender = `
import fs from "node:fs";
import { ask, tell } from "./prelude.mjs";
let made = 0;
// Each call is another: one who repeats itself is stopped for that.
const call = (more = {}, headers = {}) => ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/fault", max_tokens: 1000, stream: true, messages: [{ role: "user", content: "count 200, for the " + made++ + "th time" }], ...more }, headers);
// The door turns away who knocks too often; nobody spends by being turned away.
const patiently = async (request) => {
  for (;;) {
    const answer = await request();
    if (!answer.text.includes("rate_limited")) return answer;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
};
const plan = fs.existsSync("/data/plan") ? fs.readFileSync("/data/plan", "utf8") : "";
if (plan !== "") {
  // Started anew, and the task not taken up again: nobody knows what it works for?
  fs.rmSync("/data/plan");
  const { status } = await call();
  tell("afresh", { status });
}
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    continue;
  }
  const { id, body } = JSON.parse(text);
  const word = body.split(" ")[0];
  if (word === "burst") {
    const all = await Promise.all(Array.from({ length: ${STREAMS} }, () => call()));
    const more = [];
    for (let i = 0; i < 60; i++) more.push((await patiently(() => call())).status);
    tell("burst", { burst: all.map(({ status }) => status), more });
  }
  if (word === "borrow") {
    const other = body.split(" ")[1];
    const statuses = [];
    for (const header of ["x-cordon-run", "x-run", "idempotency-key", "traceparent"]) statuses.push((await call({}, { [header]: other })).status);
    statuses.push((await call({ run: other })).status, (await ask("POST", "/openai/v1/chat/completions?run=" + other, {})).status);
    for (let i = 0; i < 60; i++) statuses.push((await patiently(() => call())).status);
    tell("borrow", { statuses });
  }
  if (word === "restart") {
    fs.writeFileSync("/data/plan", "spend");
    process.exit(0);
  }
  if (word === "think") {
    tell("thought", { status: (await patiently(() => call({ messages: [{ role: "user", content: "count 3" }] }))).status });
  }
  await patiently(() => ask("POST", "/v1/inbox/" + id + "/reply", { body: "done" }));
}
`;

const step = (task: string, budget: string, input = ""): string => `
workflow: 1
name: spend
${input}
steps:
  spend:
    agent: spender
    task: "${task}"
    budget: ${budget}
`;

let mesh: MeshFixture;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: overspend
defaults: { model: rehearsal/fault, budget: { day: { tokens: 1M, usd: 50.00 } }, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  spender: { command: [/bin/node, /code/spender.mjs], code: code }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/spender.mjs": spender,
    "fail.yaml": step("burst", `{ tokens: ${CAP_TOKENS}, on_budget: fail }`),
    "pause.yaml": step("burst", `{ tokens: ${CAP_TOKENS}, on_budget: pause }`),
    "skip.yaml": step("burst", `{ tokens: ${CAP_TOKENS}, on_budget: skip }`),
    "rich.yaml": step("think", `{ tokens: ${RICH_TOKENS} }`),
    "borrow.yaml": step(
      "borrow ${{ input.other }}",
      `{ tokens: ${CAP_TOKENS} }`,
      "input: { type: object, properties: { other: { type: string } }, required: [other] }",
    ),
    "restart.yaml": step("restart", `{ tokens: ${CAP_TOKENS} }`),
    "whole.yaml":
      `${step("burst", `{ tokens: ${CAP_TOKENS} }`)}budget: { tokens: ${CAP_TOKENS - 500}, on_budget: fail }\n`.replace(
        `tokens: ${CAP_TOKENS} }`,
        "usd: 1.00 }",
      ),
  });
});
after(async () => {
  await mesh.stop();
});

const start = async (file: string, input = {}): Promise<string> =>
  (await mesh.desk.startRun(join(mesh.folder, file), input)).run;

const settled = (run: string, wanted: (found: RunDetail) => boolean): Promise<RunDetail> =>
  eventually(`${run} to come to something`, async () => {
    const found = await mesh.desk.run(run);
    return wanted(found) ? found : undefined;
  });
const over = (run: string): Promise<RunDetail> => settled(run, ({ finishedAtMs }) => finishedAtMs !== null);

interface Spending {
  readonly calls: number;
  readonly tokens: number;
}

/** What the evidence says was spent for a run; every call that was begun has ended. */
async function spent(run: string): Promise<Spending> {
  return eventually(`the calls of ${run} to end`, async () => {
    const records = [];
    for (let from = 0; ; from += 1_000) {
      const page = (await mesh.desk.audit(from, 1_000)).records;
      records.push(...page);
      if (page.length < 1_000) break;
    }
    const own = records.filter(({ detail }) => detail["run"] === run);
    const begun = own.filter(({ kind }) => kind === "model.reserved");
    const ended = own.filter(({ kind }) => kind === "model.settled");
    if (begun.length !== ended.length) return undefined;
    return { calls: begun.length, tokens: ended.reduce((sum, { detail }) => sum + Number(detail["tokens"]), 0) };
  });
}

async function standsAndWorks(): Promise<void> {
  const agent = (await mesh.desk.status()).agents.find(({ name }) => name === "spender");
  assert.notEqual(agent?.phase, "halted", "a step's budget is no reason to halt its agent");
}

test("forty streams at once: the step fails at its cap, and its agent goes on", async () => {
  const run = await start("fail.yaml");
  const ended = await over(run);
  assert.equal(ended.status, "failed");
  assert.match(ended.reason, /the budget of `step:run_[a-z0-9]+\/spend` is used up: 4000 tokens/);
  const { calls, tokens } = await spent(run);
  assert.ok(calls > 0 && tokens > 0 && tokens <= CAP_TOKENS, `${tokens} tokens in ${calls} calls`);
  await standsAndWorks();
  const rich = await over(await start("rich.yaml"));
  assert.equal(rich.status, "succeeded", rich.reason);
});

test("a budget of the whole run holds as well", async () => {
  const run = await start("whole.yaml");
  const ended = await over(run);
  assert.equal(ended.status, "failed");
  assert.match(ended.reason, /the budget of `run:run_[a-z0-9]+` is used up/);
  assert.ok((await spent(run)).tokens <= CAP_TOKENS);
});

test("`on_budget: skip` skips the step; `pause` waits until a person has raised it", async () => {
  const skipped = await over(await start("skip.yaml"));
  assert.equal(skipped.status, "succeeded", skipped.reason);
  assert.equal(skipped.tasks[0]?.phase, "skipped");

  const run = await start("pause.yaml");
  const paused = await settled(run, ({ status }) => status === "paused");
  assert.equal(paused.tasks[0]?.phase, "held");
  assert.match(paused.reason, /is used up/);
  assert.ok((await spent(run)).tokens <= CAP_TOKENS);
  await mesh.desk.resumeRun(run, {});
  const again = await settled(run, ({ status, seq }) => status === "paused" && seq > paused.seq);
  assert.equal(again.tasks[0]?.attempt, 2, "without more money it comes to the same");
  await mesh.desk.resumeRun(run, { tokens: 100 * 1_200 });
  const ended = await over(run);
  assert.equal(ended.status, "succeeded", ended.reason);
  assert.ok((await spent(run)).tokens > CAP_TOKENS);
});

test("no word of the agent makes another run pay", async () => {
  // It waits in the same inbox, with room for all that is tried.
  const poor = await start("borrow.yaml", { other: "run_0" });
  const rich = await start("rich.yaml");
  const named = await start("borrow.yaml", { other: rich });
  for (const run of [poor, named]) {
    const ended = await over(run);
    assert.equal(ended.status, "failed", ended.reason);
    const { tokens } = await spent(run);
    assert.ok(tokens > 0 && tokens <= CAP_TOKENS, `${tokens} tokens`);
  }
  assert.equal((await over(rich)).status, "succeeded");
  const { calls, tokens } = await spent(rich);
  assert.equal(calls, 1, "its own call and no other");
  assert.ok(tokens < 100, `${tokens} tokens`);
});

test("a new start is no way out of the step: what is spent before the task is taken up again counts for it", async () => {
  const run = await start("restart.yaml");
  await eventually("the call of the new start", async () => (await printed(mesh, "spender", "afresh"))[0]);
  const { calls, tokens } = await spent(run);
  assert.ok(calls >= 1 && tokens > 0, `${calls} calls, ${tokens} tokens`);
  await mesh.desk.controlRun(run, "cancel");
});
