/**
 * A watch is durable, so who sleeps is woken for a new version of what it watches, also after a kill -9; not for a key that
 * it may not read: its waking would tell of it, and cost money.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

/** Looks at what has changed, acknowledges it, then waits for messages only: that is no use of the door, and it falls asleep. */
const reader = `
import fs from "node:fs";
import { ask, tell } from "./prelude.mjs";
const place = "/data/next";
tell("started", {});
for (;;) {
  for (;;) {
    const after = fs.existsSync(place) ? { after: fs.readFileSync(place, "utf8") } : {};
    const { text } = await ask("POST", "/v1/tools/board.watch", { match: "**", ...after });
    const { changes, next } = JSON.parse(text).result;
    fs.writeFileSync(place, next);
    if (changes.length === 0) break;
    for (const { key, version } of changes) tell("seen", { change: key + "@" + version });
  }
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status === 200) await ask("POST", "/v1/inbox/" + JSON.parse(text).id + "/reply", { body: "here" });
}
`;

const writer = `
import { ask } from "./prelude.mjs";
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) continue;
  const { id, body } = JSON.parse(text);
  await ask("POST", "/v1/tools/board.write", { key: body, value: "x" });
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "written" });
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
  reader: { command: [/bin/node, /code/reader.mjs], code: code, may: { blackboard: { read: [open/**] } } }
  writer: { command: [/bin/node, /code/writer.mjs], code: code, may: { blackboard: { write: ["**"] } } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/reader.mjs": reader,
    "code/writer.mjs": writer,
  });
});
after(() => mesh.stop());

const asleep = (agent: string) => async (): Promise<true | undefined> =>
  (await mesh.desk.status()).agents.some(({ name, phase }) => name === agent && phase === "asleep") || undefined;
const lines = async (what: string): Promise<string[]> =>
  (await printed(mesh, "reader", what)).map((line) => JSON.stringify(line));
async function ask(agent: string, words: string): Promise<void> {
  const { conversation } = await mesh.desk.send(agent, words);
  await eventually(`an answer of ${agent}`, () => mesh.desk.reply(conversation, 0, 20_000), 60_000);
}
const seen = (change: string): Promise<unknown> =>
  eventually(
    `${change} seen`,
    async () => (await lines("seen")).some((line) => line.includes(change)) || undefined,
    60_000,
  );

test("a new version wakes who watches it, and one that it may not read does not", async () => {
  await ask("reader", "begin to watch");
  await eventually("the reader asleep", asleep("reader"), 60_000);
  const starts = (await lines("started")).length;
  // In this order: had the first woken it, it would be up before the second could be seen.
  await ask("writer", "secret/x");
  await eventually("the writer asleep", asleep("writer"), 60_000);
  assert.equal((await lines("started")).length, starts);
  assert.ok(await asleep("reader")());
  await ask("writer", "open/x");
  await seen("open/x@1");
  assert.equal((await lines("started")).length, starts + 1);
  assert.ok(!(await lines("seen")).some((line) => line.includes("secret")));
});

test("what changed while it could not be woken is seen after a kill -9", async () => {
  await eventually("the reader asleep", asleep("reader"), 60_000);
  await mesh.desk.stop("reader");
  await ask("writer", "open/y");
  await mesh.kill();
  mesh = await mesh.again();
  await seen("open/y@1");
});
