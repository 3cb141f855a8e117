/**
 * A mesh is killed while a model call of a step is under way. What the agent asks again after the crash has the name
 * that it had, so that an upstream which knows names does it once; what is tried anew has another.
 */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

interface Call {
  readonly path: string;
  readonly key: string;
  readonly words: string;
}

/** Honours keys: what it is asked to do under one name it does once, and answers the same again. */
const calls: Call[] = [];
const effects = new Map<string, number>();
const waiting: ServerResponse[] = [];
let hold = true;

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const piece of request) body += String(piece);
  const words = String((JSON.parse(body) as { messages: { content: string }[] }).messages[0]?.content);
  const key = String(request.headers["idempotency-key"] ?? "");
  calls.push({ path: request.url ?? "", key, words });
  effects.set(key, (effects.get(key) ?? 0) + 1);
  if (hold && words.includes("second")) return void waiting.push(response);
  const usage = { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 };
  const choice = { index: 0, finish_reason: "stop", message: { role: "assistant", content: "done" } };
  response.setHeader("content-type", "application/json");
  response.end(
    JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: "m", choices: [choice], usage }),
  );
}
const upstream = createServer((request, response) => void serve(request, response));

const caller = `
import { ask } from "./prelude.mjs";
const call = (content, model = "known/m", headers = {}) => ask("POST", "/openai/v1/chat/completions", { model, max_tokens: 20, messages: [{ role: "user", content }] }, headers);
let served = 0;
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 200)); continue; }
  const { id, body, from } = JSON.parse(text);
  if (from !== "principal:workflow") {
    await call("for a person");
    await ask("POST", "/v1/inbox/" + id + "/reply", { body: "said" });
    continue;
  }
  await call("first", "known/m", { "idempotency-key": "chosen by the agent" });
  await call("twice");
  await call("twice");
  await call("elsewhere", "other/m");
  await call("second");
  // The first attempt comes to nothing.
  if (body.includes("try") && served++ === 0) await ask("POST", "/v1/inbox/" + id + "/done", {});
  else await ask("POST", "/v1/inbox/" + id + "/reply", { body: "done" });
}
`;

let mesh: MeshFixture;
before(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  const provider = (more: string): string =>
    `{ api: openai, base_url: "http://127.0.0.1:${port}/v1", price: { input: 1, output: 1 }${more} }`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: names
providers:
  known: ${provider(", idempotency_key: true")}
  other: ${provider("")}
defaults: { model: known/m, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  caller: { command: [/bin/node, /code/caller.mjs], code: code, may: { models: [other/m] } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/caller.mjs": caller,
    "step.yaml": `
workflow: 1
name: step
input: { type: object, properties: { word: { type: string } }, required: [word] }
steps: { work: { agent: caller, task: "\${{ input.word }}", retry: { attempts: 2, backoff: 100ms } } }
`,
  });
});
after(async () => {
  for (const response of waiting) response.destroy();
  upstream.close();
  upstream.closeAllConnections();
  await mesh.stop();
});

const keysOf = (words: string, from = 0): string[] =>
  calls.slice(from).flatMap((call) => (call.words === words ? [call.key] : []));
async function over(run: string): Promise<void> {
  const ended = await eventually(`the end of ${run}`, async () => {
    const found = await mesh.desk.run(run);
    return found.finishedAtMs === null ? undefined : found;
  });
  assert.equal(ended.status, "succeeded", ended.reason);
}

test("what is asked again after a crash has the name that it had, and is done once", async () => {
  const { run } = await mesh.desk.startRun(join(mesh.folder, "step.yaml"), { word: "crash" });
  await eventually("the call that is under way", () => Promise.resolve(waiting[0]));
  await mesh.kill();
  hold = false;
  mesh = await mesh.again();
  await over(run);
  for (const words of ["first", "second"]) {
    const [before, again, ...more] = keysOf(words);
    assert.ok(before && before === again && more.length === 0, `${words}: ${keysOf(words).join(" ")}`);
    assert.match(before, /^[\w-]{43}$/, "a name of the mesh's making, whatever the agent sends");
  }
  const [one, two, ...after] = keysOf("twice");
  assert.notEqual(one, two, "what is asked twice is meant twice");
  assert.deepEqual(after, [one, two]);
  assert.equal(new Set(calls.filter(({ words }) => words !== "elsewhere").map(({ key }) => key)).size, 4);
  assert.deepEqual(new Set(keysOf("elsewhere")), new Set([""]), "who knows no names is told none");
});

test("another attempt, and another run, have other names", async () => {
  const from = calls.length;
  const before = new Set(calls.map(({ key }) => key));
  const { run } = await mesh.desk.startRun(join(mesh.folder, "step.yaml"), { word: "try" });
  await over(run);
  const [first, second, ...more] = keysOf("first", from);
  assert.ok(first && second && first !== second && more.length === 0);
  assert.ok(!before.has(first) && !before.has(second));
});

test("what is asked for nobody's run has no name", async () => {
  const from = calls.length;
  const { conversation } = await mesh.desk.send("caller", "hello");
  await mesh.desk.reply(conversation, 0, 20_000);
  assert.deepEqual(keysOf("for a person", from), [""]);
});
