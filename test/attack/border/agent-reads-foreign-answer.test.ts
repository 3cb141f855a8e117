/** Answers that are given again: to those who share them, of whole answers only, and never to another agent. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

/** Waits for its word, so that one agent asks after the other. */
const asker = `
import { ask, tell } from "./prelude.mjs";
const call = (content, more = {}) => ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/fault", max_tokens: 40, messages: [{ role: "user", content }], ...more });
for (;;) {
  const inbox = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (inbox.status !== 200) { await new Promise((resolve) => setTimeout(resolve, 100)); continue; }
  const { id } = JSON.parse(inbox.text);
  const answers = {};
  for (const [what, content, more] of [
    ["plain", "count 7", { temperature: 0 }],
    ["stream", "count 7", { temperature: 0, stream: true }],
    ["warm", "count 8", { temperature: 0.5 }],
    ["cut", "fault cut-middle: count 30", { temperature: 0, stream: true }],
    ["error", "fault status-400: count 9", { temperature: 0 }],
    ["unreported", "fault usage-missing: count 6", { temperature: 0 }],
  ]) {
    const { status, text, headers } = await call(content, more);
    answers[what] = { status, text, cached: headers["x-cordon-cache"] ?? "" };
  }
  tell("answers", { answers });
  await ask("POST", "/v1/inbox/" + id + "/done", {});
}
`;

let mesh: MeshFixture;

before(async () => {
  const agent = (more: string): string =>
    `{ model: rehearsal/fault, command: [/bin/node, /code/asker.mjs], code: code${more} }`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: cache
defaults: { budget: { day: { tokens: 100k } } }
teams:
  desk: { members: [first, second, capped], cache: { ttl: 1h } }
  rest: { members: [outsider, foreigner] }
agents:
  first: ${agent("")}
  second: ${agent("")}
  capped: ${agent(", model_limits: { max_tokens: 3 }")}
  outsider: ${agent("")}
  foreigner: ${agent(", cache: { ttl: 1h, nondeterministic: true }")}
`,
    "code/prelude.mjs": attackerPrelude,
    "code/asker.mjs": asker,
  });
});
after(() => mesh.stop());

type Answers = Record<string, { readonly status: number; readonly text: string; readonly cached: string }>;
let rounds = 0;

async function asked(agent: string): Promise<Answers> {
  const before = (await printed(mesh, agent, "answers")).length;
  rounds++;
  await mesh.desk.send(agent, `round ${rounds}`);
  const told = await eventually(`the answers of ${agent}`, async () => (await printed(mesh, agent, "answers"))[before]);
  return told["answers"] as Answers;
}

const hits = (answers: Answers): string[] => Object.keys(answers).filter((what) => answers[what]?.cached === "hit");
const recordsOf = async (agent: string, kind: string) =>
  (await mesh.desk.audit(0, 1_000)).records.filter(
    (record) => record.kind === kind && record.subject === `agent:${agent}`,
  );

test("a team that shares answers gets them again to the letter, free of charge, with the word of whose they were", async () => {
  const first = await asked("first");
  assert.deepEqual(hits(first), []);
  const second = await asked("second");
  // What was cut, refused, not reported or would be another answer the next time is asked for anew.
  assert.deepEqual(hits(second), ["plain", "stream"]);
  assert.equal(second["plain"]?.text, first["plain"]?.text);
  assert.equal(second["stream"]?.text, first["stream"]?.text);
  const cached = await recordsOf("second", "model.cached");
  assert.equal(cached.length, 2);
  for (const { detail } of cached) {
    assert.deepEqual([detail["scope"], detail["first_asked_by"], detail["micro_usd"]], ["team:desk", "first", 0]);
    assert.deepEqual(detail["label"], {
      integrity: "untrusted",
      confidentiality: "internal",
      sources: ["agent:first"],
    });
  }
  assert.equal((await recordsOf("second", "model.reserved")).length, 4, "the others were paid for");
  assert.deepEqual(hits(await asked("first")), ["plain", "stream"], "its own answers, too");
});

test("another ceiling is another call; who shares nothing gets nothing, and gives nothing", async () => {
  const capped = await asked("capped");
  assert.deepEqual(hits(capped), []);
  assert.notEqual(capped["plain"]?.text, (await asked("first"))["plain"]?.text);
  assert.deepEqual(hits(await asked("outsider")), []);
  assert.deepEqual(hits(await asked("outsider")), [], "without a rule nothing is kept");
  assert.deepEqual(hits(await asked("foreigner")), [], "an agent's own answers are its own");
  assert.deepEqual(hits(await asked("foreigner")), ["plain", "stream", "warm"]);
});

test("nothing of it is left reserved", async () => {
  assert.deepEqual(
    (await mesh.desk.costs()).lines.filter(({ reserved }) => reserved > 0),
    [],
  );
});
