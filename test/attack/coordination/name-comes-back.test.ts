/** An agent leaves the fleet file and another comes with its name: it finds nothing that was the first one's. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const library = `
import { ask, tell } from "./prelude.mjs";
export { ask, tell };
export const tool = async (name, body) => {
  const { status, text } = await ask("POST", "/v1/tools/" + name, body);
  return status === 200 ? JSON.parse(text).result : { refused: JSON.parse(text).error.code };
};
`;
const clerk = `
import { ask, tool, tell } from "./library.mjs";
await tool("board.watch", { match: "notes/*" });
await tool("board.write", { key: "notes/1", value: "x" });
const asked = await tool("bus.publish", { topic: "news", body: "?", reply_seconds: 3600, dedupe_key: "k" });
const taken = await tool("bus.pull", { topic: "news" });
await tool("bus.ack", { topic: "news", ids: [taken.messages[0].id], reject: "not mine" });
const dead = await tool("bus.dead", { topic: "news" });
const task = JSON.parse((await ask("GET", "/v1/inbox?wait_ms=20000")).text).task;
tell("first", { asked, dead: dead.letters.length, task });
setInterval(() => {}, 1e6);
`;
const helper = `
import { tool, tell } from "./library.mjs";
tell("made", await tool("task.create", { to: "clerk", title: "secret errand" }));
setInterval(() => {}, 1e6);
`;
const heir = (asked: string, task: string): string => `
import { ask, tool, tell } from "./library.mjs";
tell("heir", {
  dead: (await tool("bus.dead", { topic: "news" })).letters.length,
  attempts: (await tool("bus.pull", { topic: "news" })).messages.map(({ attempt }) => attempt),
  replies: await tool("bus.replies", { topic: "news", request: "${asked}" }),
  again: (await tool("bus.publish", { topic: "news", body: "mine", dedupe_key: "k" })).duplicate,
  watched: (await tool("board.watch", { match: "notes/*" })).changes.length,
  tasks: (await tool("task.list", {})).tasks.length,
  finish: await tool("task.done", { task: "${task}", result: "x" }),
  inbox: (await ask("GET", "/v1/inbox?wait_ms=0")).status,
});
setInterval(() => {}, 1e6);
`;
const agents = {
  helper:
    "helper: { command: [/bin/node, /code/helper.mjs], code: code, may: { message: [clerk], tools: [task.create] } }",
  clerk: `clerk: { command: [/bin/node, /code/clerk.mjs], code: code, may: { tools: [task.list, task.done],
    blackboard: { read: [notes/*], write: [notes/*] }, topics: { publish: [news], subscribe: [news] } } }`,
  other: "other: { command: [/bin/node, /code/idle.mjs], code: code }",
};
const fleet = (...names: (keyof typeof agents)[]): string => `
version: 1
fleet: names
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } } }
agents:
${names.map((name) => `  ${agents[name]}`).join("\n")}
`;

let mesh: MeshFixture | undefined;
after(() => mesh?.stop());

test("hole: reusable names as identity — subscriptions, requests, watches and tasks end with the agent that had them", async () => {
  mesh = await startMesh({
    "cordon.yaml": fleet("helper", "clerk"),
    "code/prelude.mjs": attackerPrelude,
    "code/library.mjs": library,
    "code/clerk.mjs": clerk,
    "code/helper.mjs": helper,
    "code/idle.mjs": "setInterval(() => {}, 1e6);",
  });
  let here = mesh;
  const first = await eventually("the first clerk", async () => (await printed(here, "clerk", "first"))[0], 60_000);
  const { asked, dead, task } = first as { asked: { id: string }; dead: number; task: { task: string } };
  assert.equal(dead, 1, "there was something to inherit");
  await here.end();
  writeFileSync(join(here.folder, "cordon.yaml"), fleet("other"));
  here = mesh = await here.again();
  assert.equal((await here.desk.task(task.task)).state, "failed");
  await here.end();
  writeFileSync(join(here.folder, "cordon.yaml"), fleet("other", "clerk"));
  writeFileSync(join(here.folder, "code", "clerk.mjs"), heir(asked.id, task.task));
  const again = (mesh = await here.again());
  const { kind: _, ...found } = await eventually(
    "the heir",
    async () => (await printed(again, "clerk", "heir"))[0],
    60_000,
  );
  assert.deepEqual(found, {
    dead: 0,
    // It begins where every new subscriber begins, and was never handed anything before.
    attempts: [1],
    replies: { refused: "not_found" },
    again: false,
    watched: 0,
    tasks: 0,
    finish: { refused: "not_found" },
    inbox: 204,
  });
});
