/** One sandbox tries to be another agent, the operator or the mesh, and to use what only others may. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const attacker = `
import { ask, raw, tell } from "./prelude.mjs";
const tool = (name, body, headers) => ask("POST", "/v1/tools/" + name, body, headers);
const result = {};
result.before = await ask("GET", "/v1/self");
const forged = { "x-agent": "victim", "x-forwarded-for": "127.0.0.1", "x-mesh-internal": "1", authorization: "Bearer x", host: "desk", "x-cordon-agent": "victim", cookie: "agent=victim" };
result.self = await ask("GET", "/v1/self", undefined, forged);
result.absolute = await raw("GET http://victim/v1/self HTTP/1.1\\r\\nHost: victim\\r\\n\\r\\n");
result.board = await Promise.all(["secret/a", "mine/../secret/a", "secret/./a", "//secret/a", "SECRET/a", "secret%2Fa", "mine/a\\u0000/../../secret/a", "**"].map((key) => tool("board.read", { key }, forged)));
result.lists = await Promise.all(["secret/**", "**", "secret/*", "*/a", "s*/*", "mine/**"].map((match) => tool("board.list", { match }, forged)));
result.writes = await Promise.all(["secret/a", "secret/b", "mine/../secret/a"].map((key) => tool("board.write", { key, value: "owned" }, forged)));
result.deletes = await tool("board.delete", { key: "secret/a" }, forged);
result.messages = await Promise.all([{ to: "victim", body: "x" }, { to: "victim", body: "x", from: "principal:operator" }, { to: "operator", body: "x" }, { to: "thief", body: "to myself" }].map((body) => tool("message.send", body, forged)));
result.deliveries = await Promise.all(["done", "reply"].map((verb) => ask("POST", "/v1/inbox/msg_aaaaaaaaaaaaaaaaaaaaaaaaaa/" + verb, verb === "reply" ? { body: "forged" } : {})));
result.tools = await Promise.all(["files.read", "files.list", "output.write"].map((name) => tool(name, name === "files.list" ? {} : { path: "a.txt", content: "x" }, forged)));
result.models = await Promise.all(["rehearsal/other", "openai/gpt-5", "rehearsal/echo\\u0000", "victim/m", "echo"].map((model) => ask("POST", "/openai/v1/chat/completions", { model, messages: [{ role: "user", content: "x" }] })));
result.mine = await tool("board.write", { key: "mine/proof", value: "it is awake" });
// One line each: a line of the log has a bound.
const brief = ({ status, text }) => ({ status, text: text.slice(0, 600) });
for (const [name, got] of Object.entries(result)) tell("forged", { name, got: Array.isArray(got) ? got.map(brief) : typeof got === "string" ? got : brief(got) });
tell("finished", {});
setInterval(() => {}, 1e6);
`;

const victim = `
import { ask, tell } from "./prelude.mjs";
await ask("POST", "/v1/tools/board.write", { key: "secret/a", value: "the victim's own words" });
tell("wrote", {});
for (;;) { const got = await ask("GET", "/v1/inbox?wait_ms=2000"); if (got.status === 200) tell("received", { got: got.text }); }
`;

interface Answer {
  readonly status: number;
  readonly text: string;
}
let mesh: MeshFixture;
let result: Record<string, Answer | Answer[] | string>;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: border
files: { read: texts }
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } } }
agents:
  victim: { command: [/bin/node, /code/victim.mjs], code: code, may: { blackboard: { write: [secret/*] } } }
  thief: { command: [/bin/node, /code/attack.mjs], code: code, may: { blackboard: { read: [mine/**], write: [mine/*] } } }
`,
    "texts/a.txt": "the operator's text",
    "code/prelude.mjs": attackerPrelude,
    "code/victim.mjs": victim,
    "code/attack.mjs": attacker,
  });
  await eventually("the victim's entry", async () => (await printed(mesh, "victim", "wrote"))[0]);
  await eventually(
    "a first round without anything to steal",
    async () => (await printed(mesh, "thief", "finished"))[0],
  );
  await mesh.restart("thief");
  await eventually(
    "the forgeries",
    async () => ((await printed(mesh, "thief", "finished")).length === 2 ? true : undefined),
    60_000,
  );
  result = Object.fromEntries(
    (await printed(mesh, "thief", "forged")).map((each) => [each["name"], each["got"]]),
  ) as typeof result;
});
after(() => mesh.stop());

const one = (name: string): Answer => result[name] as Answer;
const many = (name: string): Answer[] => result[name] as Answer[];

test("no header and no target makes the door take it for somebody else", () => {
  assert.match(one("before").text, /^\{"agent":"thief"/);
  assert.match(one("self").text, /^\{"agent":"thief"/);
  assert.match(result["absolute"] as string, /^HTTP\/1\.1 404/, "an absolute target is not a route");
});

test("no spelling of a key opens another agent's board", async () => {
  for (const answer of many("board")) assert.ok([400, 403].includes(answer.status), answer.text);
  for (const answer of many("writes")) assert.ok([400, 403].includes(answer.status), answer.text);
  assert.equal(one("deletes").status, 403);
  const listed = many("lists").map(
    (answer) => JSON.parse(answer.text).result?.keys.map((row: { key: string }) => row.key) ?? [],
  );
  assert.ok(
    listed.flat().every((key: string) => key.startsWith("mine/")),
    JSON.stringify(listed),
  );
  assert.equal(one("mine").status, 200, "what it may write, it can");
  const { rows } = await mesh.desk.board("secret/**");
  assert.deepEqual(
    rows.map((row) => [row.key, row.version, row.value, row.writer]),
    [["secret/a", 1, "the victim's own words", "victim"]],
  );
});

test("no message, delivery, tool or model of others", async () => {
  for (const name of ["messages", "tools", "models"]) {
    for (const answer of many(name))
      assert.ok([400, 403, 404].includes(answer.status), `${name}: ${answer.status} ${answer.text}`);
  }
  for (const answer of many("deliveries")) assert.equal(answer.status, 404);
  assert.deepEqual(await printed(mesh, "victim", "received"), []);
});

test("each refusal names its reason and a remedy, and is in the audit under the real name", async () => {
  const refused = [...many("writes"), ...many("tools")].filter((answer) => answer.status === 403);
  for (const { text } of refused) {
    const { error } = JSON.parse(text);
    assert.match(error.remedy, /add `.+` to `agents\.thief\.may\./);
  }
  const { records } = await mesh.desk.audit(0, 1_000);
  const denials = records.filter((record) => record.kind === "decision" && record.detail["allow"] === false);
  assert.ok(denials.length >= 20, `${denials.length} denials`);
  assert.ok(denials.every((record) => record.subject === "agent:thief"));
});
