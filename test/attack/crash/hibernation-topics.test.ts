/** A subscription is durable, so who sleeps is woken for what is published, and for an answer; also after a kill -9. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

/** Takes what has been published, then waits for messages only: that is no use of the door, and it falls asleep. */
const reader = `
import { ask, tell } from "./prelude.mjs";
for (;;) {
  const { text } = await ask("POST", "/v1/tools/bus.pull", { topic: "news" });
  const { messages } = JSON.parse(text).result;
  for (const { id, body } of messages) {
    tell("read", { body });
    await ask("POST", "/v1/tools/bus.reply", { topic: "news", request: id, body: "answer to " + body });
    await ask("POST", "/v1/tools/bus.ack", { topic: "news", ids: [id] });
  }
  const { status, text: delivery } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status === 200) await ask("POST", "/v1/inbox/" + JSON.parse(delivery).id + "/reply", { body: "here" });
}
`;

const writer = `
import { ask, tell } from "./prelude.mjs";
tell("started", {});
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) continue;
  const { id, body } = JSON.parse(text);
  await ask("POST", "/v1/tools/bus.publish", { topic: "news", body, reply_seconds: 600 });
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "published" });
}
`;

let mesh: MeshFixture;
before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: sleepy
defaults: { model: rehearsal/echo, budget: { day: { usd: 5.00 } }, sandbox: { disk: 4MiB, hibernate: 1s } }
agents:
  reader: { command: [/bin/node, /code/reader.mjs], code: code, may: { topics: { subscribe: [news], publish: [news] } } }
  writer: { command: [/bin/node, /code/writer.mjs], code: code, may: { topics: { publish: [news] } } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/reader.mjs": reader,
    "code/writer.mjs": writer,
  });
});
after(() => mesh.stop());

const asleep = (agent: string) => async (): Promise<true | undefined> =>
  (await mesh.desk.status()).agents.some(({ name, phase }) => name === agent && phase === "asleep") || undefined;
const lines = async (agent: string, what: string): Promise<string[]> =>
  (await printed(mesh, agent, what)).map((line) => JSON.stringify(line));
async function ask(agent: string, words: string): Promise<void> {
  const { conversation } = await mesh.desk.send(agent, words);
  await eventually(`an answer of ${agent}`, () => mesh.desk.reply(conversation, 0, 20_000), 60_000);
}
const read = (what: string): Promise<unknown> =>
  eventually(
    `${what} read`,
    async () => (await lines("reader", "read")).some((line) => line.includes(what)) || undefined,
    60_000,
  );

test("a publication wakes who is subscribed, and its answer wakes who has asked", async () => {
  await ask("reader", "subscribe");
  await ask("writer", "first");
  await read("first");
  await eventually("both asleep", async () => (await asleep("reader")()) && (await asleep("writer")()), 60_000);
  const starts = (await lines("writer", "started")).length;
  await mesh.desk.stop("reader");
  await ask("writer", "second");
  await eventually("the writer asleep", asleep("writer"), 60_000);
  const before = (await lines("writer", "started")).length;
  assert.equal(before, starts + 1);
  await mesh.desk.start("reader");
  await read("second");
  await eventually(
    "the writer woken by the answer",
    async () => (await lines("writer", "started")).length > before || undefined,
    60_000,
  );
});

test("what was published while nobody could be woken is read after a kill -9", async () => {
  await mesh.desk.stop("reader");
  await ask("writer", "third");
  await mesh.kill();
  mesh = await mesh.again();
  await read("third");
});
