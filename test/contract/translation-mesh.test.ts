/** Agents that speak one format, and a provider that speaks the other: through a real mesh, over the wire. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { startRehearsal, type Rehearsal } from "../../mesh/rehearsal/rehearsal.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";

const KEY = "k9Qz-4f9a1c77e2b8-Xw";

const caller = `
import { ask, tell } from "./prelude.mjs";
while ((await ask("GET", "/v1/inbox?wait_ms=20000")).status !== 200);
const openai = (model, content, more = {}) => ask("POST", "/openai/v1/chat/completions", { model, max_tokens: 50, messages: [{ role: "system", content: "be brief" }, { role: "user", content }], ...more });
const anthropic = (model, content, more = {}) => ask("POST", "/anthropic/v1/messages", { model, max_tokens: 50, system: "be brief", messages: [{ role: "user", content }], ...more }, { "anthropic-version": "2023-06-01" });
for (const [name, call, suffix] of [["openai", openai, "claudish"], ["anthropic", anthropic, "chattish"]]) {
  for (const stream of [false, true]) {
    for (const [what, content] of [["words", "count 4"], ["cut", "fault cut-middle: count 40"], ["refused", "fault status-400: x"], ["limit", "count 90"]]) {
      const { status, text, headers } = await call("by-" + suffix, content, { stream });
      tell("answer", { name, what, stream, status, text: text.slice(0, 7000), by: headers["x-cordon-model"] });
    }
  }
}
tell("through", {});
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;
let provider: Rehearsal;

before(async () => {
  provider = await startRehearsal({
    listen: { host: "127.0.0.1", port: 0 },
    scenarios: [],
    apiKey: new Secret(Buffer.from(KEY)),
    seed: "s",
    clock: systemClock,
  });
  assert.ok("port" in provider.listen);
  const { port } = provider.listen;
  const own = (api: string): string =>
    `{ api: ${api}, base_url: "http://127.0.0.1:${port}/v1", credential: outer, price: { input: 3, output: 15 } }`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: tongues
providers: { claudish: ${own("anthropic")}, chattish: ${own("openai")} }
models: { by-claudish: { chain: [claudish/fault] }, by-chattish: { chain: [chattish/fault] }, spoken: { chain: ["chattish/fault:status-529", claudish/echo] } }
agents:
  caller: { model: by-claudish, command: [/bin/node, /code/caller.mjs], code: code, may: { models: [chattish/fault] } }
  loop: { model: spoken, instructions: loop.md }
`,
    "loop.md": "You echo.",
    "code/prelude.mjs": attackerPrelude,
    "code/caller.mjs": caller,
  });
  await mesh.desk.addCredential("outer", Buffer.from(KEY));
  await mesh.desk.send("caller", "go");
});
after(async () => {
  // A mesh that did not start must not keep the provider open.
  await mesh?.stop();
  await provider.close();
});

interface Answer {
  readonly name: string;
  readonly what: string;
  readonly stream: boolean;
  readonly status: number;
  readonly text: string;
  readonly by?: string;
}

const answersOf = async (): Promise<(name: string, what: string, stream: boolean) => Answer> => {
  await eventually("the answers", async () => (await printed(mesh, "caller", "through"))[0], 60_000);
  const answers = (await printed(mesh, "caller", "answer")) as unknown as Answer[];
  return (name, what, stream) => {
    const found = answers.find((each) => each.name === name && each.what === what && each.stream === stream);
    assert.ok(found, `${name} ${what} ${stream}`);
    return found;
  };
};

/** The data of a stream's events. */
const events = (text: string): { [key: string]: unknown }[] =>
  [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? "") as { [key: string]: unknown });

test("words, their bound and their price come through in the agent's own format", async () => {
  const answer = await answersOf();
  const plain = JSON.parse(answer("openai", "words", false).text) as {
    choices: { message: { content: string }; finish_reason: string }[];
    usage: { completion_tokens: number };
  };
  assert.deepEqual(
    [plain.choices[0]?.message.content.trim(), plain.choices[0]?.finish_reason, plain.usage.completion_tokens],
    ["000 001 002 003", "stop", 4],
  );
  const message = JSON.parse(answer("anthropic", "words", false).text) as {
    content: { text: string }[];
    stop_reason: string;
    usage: { output_tokens: number };
  };
  assert.deepEqual(
    [message.content[0]?.text.trim(), message.stop_reason, message.usage.output_tokens],
    ["000 001 002 003", "end_turn", 4],
  );
  assert.equal(answer("openai", "words", false).by, "claudish/fault");
  const chunks = answer("openai", "words", true).text;
  const words = events(chunks).flatMap(({ choices }) =>
    (choices as { delta: { content?: string } }[]).map(({ delta }) => delta.content ?? ""),
  );
  assert.equal(words.join("").trim(), "000 001 002 003");
  assert.match(chunks, /data: \[DONE\]\n\n$/);
  const told = answer("anthropic", "words", true).text;
  const deltas = events(told).map(({ delta }) => (delta as { text?: string } | undefined)?.text ?? "");
  assert.equal(deltas.join("").trim(), "000 001 002 003");
  assert.match(told, /event: message_stop\n/);
  assert.match(answer("openai", "limit", false).text, /"finish_reason":"length"/);
  assert.match(answer("anthropic", "limit", false).text, /"stop_reason":"max_tokens"/);
  const settled = (await mesh.desk.audit(0, 1_000)).records.filter(
    ({ kind, detail }) => kind === "model.settled" && detail["outcome"] === "answered",
  );
  assert.ok(settled.length >= 8);
  for (const { detail } of settled) assert.equal(detail["charged"], "usage", "metered in the provider's own format");
});

test("a stream that breaks ends in good form, an error has the form that the agent knows", async () => {
  const answer = await answersOf();
  const chat = answer("openai", "cut", true).text;
  assert.match(chat, /: cordon upstream_(?:broken|incomplete)\n\n/);
  assert.match(chat, /"finish_reason":"length"[^]*\[DONE\]\n\n$/);
  assert.match(answer("anthropic", "cut", true).text, /"stop_reason":"max_tokens"[^]*event: message_stop\n/);
  assert.deepEqual(
    [answer("openai", "refused", false).status, answer("anthropic", "refused", true).status],
    [400, 400],
  );
  const error = JSON.parse(answer("openai", "refused", true).text) as { error: { message: string; type: string } };
  assert.match(error.error.type, /invalid_request_error/);
  const other = JSON.parse(answer("anthropic", "refused", false).text) as { type: string; error: { type: string } };
  assert.deepEqual([other.type, other.error.type], ["error", "invalid_request_error"]);
});

test("cordon's own agent goes on when its model is gone, though the next one speaks another format", async () => {
  const { conversation } = await mesh.desk.send("loop", "are you there?");
  const reply = await mesh.desk.reply(conversation, 0, 20_000);
  assert.match(reply?.body ?? "", /are you there\?/);
  const asked = (await mesh.desk.audit(0, 1_000)).records.filter(
    ({ kind, subject }) => kind === "model.reserved" && subject === "agent:loop",
  );
  assert.deepEqual(
    asked.map(({ detail }) => detail["model"]),
    ["chattish/fault:status-529", "claudish/echo"],
  );
});
