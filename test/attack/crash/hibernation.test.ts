/** Idle agents are stopped and come back with what they had; a storm of messages wakes few at a time, and none is lost. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { tracesOf } from "../../fleet/host-traces.ts";
import { attackerPrelude, eventually, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const SLEEPERS = 8;
const AWAKE_MAX = 3;
const sleepers = Array.from({ length: SLEEPERS }, (_, i) => `s${i}`);

/** Counts its messages in /data and answers with the count. */
const counter = `
import { readFileSync, writeFileSync } from "node:fs";
import { ask } from "./prelude.mjs";
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) continue;
  const { id } = JSON.parse(text);
  let count = 0;
  try { count = Number(readFileSync("/data/count", "utf8")); } catch {}
  writeFileSync("/data/count", String(++count));
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "message " + count });
}
`;

let mesh: MeshFixture;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: sleepy
awake: ${AWAKE_MAX}
defaults: { model: rehearsal/echo, budget: { day: { usd: 5.00 } }, sandbox: { disk: 4MiB, hibernate: 1s } }
agents:
${sleepers.map((name) => `  ${name}: { command: [/bin/node, /code/count.mjs], code: code }`).join("\n")}
`,
    "code/prelude.mjs": attackerPrelude,
    "code/count.mjs": counter,
  });
});
after(() => mesh.stop());

const phases = async (): Promise<ReadonlyMap<string, string>> =>
  new Map((await mesh.desk.status()).agents.map(({ name, phase }) => [name, phase]));
const asleep = async (agents: readonly string[]): Promise<true | undefined> => {
  const now = await phases();
  return agents.every((agent) => now.get(agent) === "asleep") || undefined;
};
async function ask(agent: string): Promise<string | undefined> {
  const { conversation } = await mesh.desk.send(agent, "count");
  return (await mesh.desk.reply(conversation, 0, 25_000))?.body;
}

test("who has nothing to do does not run; a message wakes it, and its /data is as it was", async () => {
  await eventually("the fleet asleep", () => asleep(sleepers));
  assert.deepEqual(tracesOf(mesh.installation, mesh.state), [], "no sandbox on the host");
  assert.equal(await ask("s0"), "message 1");
  assert.equal((await phases()).get("s1"), "asleep", "nobody else was woken");
  await eventually("asleep again", () => asleep(["s0"]));
  await eventually("its sandbox gone", () =>
    Promise.resolve(tracesOf(mesh.installation, mesh.state).length === 0 || undefined),
  );
  assert.equal(await ask("s0"), "message 2");
  const sandboxes = async (type: string): Promise<readonly unknown[]> =>
    (await mesh.desk.events(0, 0)).events
      .filter((event) => event.agent === "s0" && event.type === type)
      .map(({ detail }) => detail["sandbox"]);
  // A start is told of when its fence was looked at, which may be after the first request.
  const started = await eventually("two starts", async () => {
    const all = await sandboxes("sandbox.started");
    return all.length === 2 ? all : undefined;
  });
  assert.deepEqual(await sandboxes("sandbox.awake"), started, "the first request at the door is told of, once a start");
});

test("a storm of messages: never more awake than may be, everyone is served in turn, nothing is lost", async () => {
  let awakeSeen = 0;
  const watching = new AbortController();
  const watcher = (async () => {
    while (!watching.signal.aborted) {
      const now = [...(await phases()).values()];
      awakeSeen = Math.max(awakeSeen, now.filter((phase) => phase === "running" || phase === "starting").length);
      await new Promise((next) => setTimeout(next, 20));
    }
  })();
  const before = [2, ...Array.from({ length: SLEEPERS - 1 }, () => 0)];
  const rounds = await Promise.all(
    sleepers.flatMap((agent) =>
      Array.from({ length: 3 }, async () => {
        const { conversation } = await mesh.desk.send(agent, "count");
        return eventually(`an answer of ${agent}`, () => mesh.desk.reply(conversation, 0, 20_000), 90_000);
      }),
    ),
  );
  watching.abort();
  await watcher;
  const said = rounds.map((reply) => reply.body);
  for (const [i, agent] of sleepers.entries()) {
    const from = before[i] ?? 0;
    const mine = said.slice(i * 3, i * 3 + 3).toSorted();
    assert.deepEqual(
      mine,
      [1, 2, 3].map((n) => `message ${from + n}`),
      agent,
    );
  }
  assert.ok(awakeSeen > 0 && awakeSeen <= AWAKE_MAX, `${awakeSeen} awake at once`);
});

test("messages that wait for a sleeper outlive the mesh, and wake it after a kill -9", async () => {
  await eventually("the fleet asleep", () => asleep(sleepers), 60_000);
  // More than may be awake: some of them are asleep with a message when the mesh dies.
  const conversations = await Promise.all(
    sleepers.map(async (agent) => (await mesh.desk.send(agent, "count")).conversation),
  );
  await mesh.kill();
  mesh = await mesh.again();
  for (const conversation of conversations)
    await eventually("the answer", () => mesh.desk.reply(conversation, 0, 20_000), 90_000);
  assert.equal((await mesh.desk.verifyAudit()).ok, true);
});

test("an agent that an operator has stopped is not woken", async () => {
  await eventually("the fleet asleep", () => asleep(sleepers), 60_000);
  await mesh.desk.stop("s5");
  const { conversation } = await mesh.desk.send("s5", "count");
  assert.match((await ask("s6")) ?? "", /message/);
  assert.equal((await phases()).get("s5"), "stopped");
  assert.equal(await mesh.desk.reply(conversation, 0, 0), undefined);
  await mesh.desk.start("s5");
  assert.match((await mesh.desk.reply(conversation, 0, 25_000))?.body ?? "", /message/);
});
