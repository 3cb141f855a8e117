import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { limits } from "../../protocol/limits.ts";
import { openaiStream, self, startFakeDoor, toolAnswer, type FakeDoor, type SeenBody } from "../testing/fake-door.ts";
import { runLoop } from "./loop.ts";

let door: FakeDoor;
let stop: AbortController;
let ended: Promise<void>;
const events: string[] = [];

function startLoop(socketPath = door.socketPath): void {
  stop = new AbortController();
  ended = runLoop({
    doorSocket: socketPath,
    dataFolder: join(door.folder, "data"),
    clock: systemClock,
    id: randomId,
    log: (_level, event) => events.push(event),
    signal: stop.signal,
  });
}

async function stopLoop(): Promise<void> {
  stop.abort();
  await ended;
}

beforeEach(async () => {
  door = await startFakeDoor();
  events.length = 0;
  startLoop();
});
afterEach(async () => {
  await stopLoop();
  await door.close();
});

const sessionPath = (): string => join(door.folder, "data/sessions/conv_1.json");
const modelCalls = (): SeenBody[] => door.to("/openai/").map(({ body }) => body);
const last = <T>(items: readonly T[]): T => {
  const item = items.at(-1);
  assert.ok(item !== undefined, "there is none");
  return item;
};

test("a message goes through tools to a reply", async () => {
  door.tool = (name, body) => toolAnswer({ name, path: body.path, content: "text" });
  const calls = ["a.md", "b.md", "c.md"].map((path) => ({ name: "files_read", input: JSON.stringify({ path }) }));
  door.model.push({ stream: openaiStream("", calls) }, { stream: openaiStream("All read.") });
  door.deliver({ body: "Read every text." });
  const settled = await door.settled();
  assert.deepEqual([settled.path, settled.body], ["/v1/inbox/msg_1/reply", { body: "All read." }]);

  const [first, second] = modelCalls() as [SeenBody, SeenBody];
  assert.deepEqual(first.messages, [
    { role: "system", content: self.instructions },
    { role: "user", content: "Message from principal:operator:\nRead every text." },
  ]);
  assert.deepEqual(
    first.tools.map((tool) => tool.function.name),
    ["files_read", "message_send", "data_list", "data_read", "data_write"],
  );
  assert.deepEqual(
    second.messages.slice(3).map((message) => [message.tool_call_id, JSON.parse(message.content).path]),
    [
      ["call_0", "a.md"],
      ["call_1", "b.md"],
      ["call_2", "c.md"],
    ],
  );
  assert.deepEqual(JSON.parse(second.messages[3]?.content ?? ""), {
    name: "files.read",
    path: "a.md",
    content: "text",
  });
});

test("results stand in the order of the calls, four run at a time", async () => {
  let running = 0;
  let most = 0;
  door.tool = async (_name, { path }) => {
    most = Math.max(most, ++running);
    await systemClock.sleep(path === "0" ? 60 : 10);
    running--;
    return toolAnswer({ path });
  };
  const calls = Array.from({ length: 9 }, (_, i) => ({ name: "files_read", input: `{"path":"${i}"}` }));
  door.model.push({ stream: openaiStream("", calls) }, { stream: openaiStream("ok") });
  door.deliver({});
  await door.settled();
  assert.equal(most, limits.agent.toolCallsConcurrentMax);
  const results = last(modelCalls()).messages.filter((message) => message.role === "tool");
  assert.deepEqual(results.map((message) => JSON.parse(message.content).path).join(""), "012345678");
});

test("a refused tool, a tool that is not there and cut-off arguments are told to the model", async () => {
  const denied = { code: "denied", reason: "`x` is not readable", remedy: "add it" };
  door.tool = () => ({ status: 403, json: { error: denied } });
  const calls = [
    { name: "files_read", input: '{"path":"x"}' },
    { name: "shell", input: "{}" },
    { name: "files_read", input: '{"path":"x' },
  ];
  door.model.push({ stream: openaiStream("", calls) }, { stream: openaiStream("I may not.") });
  door.deliver({});
  assert.equal((await door.settled()).body.body, "I may not.");
  const results = last(modelCalls())
    .messages.slice(3)
    .map((message) => JSON.parse(message.content).error);
  assert.deepEqual(results[0], denied);
  assert.deepEqual(
    results.slice(1).map((error: { code: string }) => error.code),
    ["not_found", "malformed"],
  );
  assert.equal(door.to("/v1/tools/").length, 1);
});

for (const code of ["budget_exhausted", "halted", "denied"] as const) {
  test(`a model that is refused with ${code} is asked once, and the sender is told`, async () => {
    const status = code === "budget_exhausted" ? 402 : 403;
    door.model.push({ status, json: { error: { message: "no more", type: "cordon", code } } });
    door.deliver({});
    const settled = await door.settled();
    assert.equal(settled.body.body, `I had to stop (${code}): no more.`);
    assert.equal(modelCalls().length, 1);
  });
}

test("a cap that falls in the middle of a stream ends the turn", async () => {
  const [first = ""] = openaiStream("");
  const cut = `data: ${JSON.stringify({ error: { message: "cap reached", type: "cordon", code: "budget_exhausted" } })}\n\n`;
  door.model.push({ stream: [first, cut] });
  door.deliver({});
  assert.equal((await door.settled()).body.body, "I had to stop (budget_exhausted): cap reached.");
  assert.equal(modelCalls().length, 1);
});

test("a busy model is asked again, a stream that broke off is not", async () => {
  const busy = { status: 503, json: { error: { message: "later", code: "busy" } } };
  door.model.push(busy, busy, { stream: openaiStream("There.") });
  door.deliver({});
  assert.equal((await door.settled()).body.body, "There.");
  assert.equal(modelCalls().length, 3);

  door.model.push({ stream: openaiStream("half").slice(0, 2), break: true });
  door.deliver({ id: "msg_2" });
  assert.match((await door.settled()).body.body, /^I had to stop \(upstream_failed\)/);
  assert.equal(modelCalls().length, 4);
});

test("a model that never stops calling is stopped", async () => {
  for (let i = 0; i < limits.agent.roundsMax + 5; i++)
    door.model.push({ stream: openaiStream("", [{ name: "data_list", input: "" }]) });
  door.deliver({});
  assert.match((await door.settled()).body.body, /not done after 32 rounds/);
  assert.equal(modelCalls().length, limits.agent.roundsMax);
});

test("agents are answered, but an answer is not, and nothing to say is `done`", async () => {
  door.model.push(
    { stream: openaiStream("Thank you.") },
    { stream: openaiStream("") },
    { stream: openaiStream("You too.") },
  );
  door.deliver({ id: "msg_a", from: "agent:writer" });
  assert.deepEqual((await door.settled()).path, "/v1/inbox/msg_a/reply");
  door.deliver({ id: "msg_b", from: "agent:writer" });
  assert.deepEqual((await door.settled()).path, "/v1/inbox/msg_b/done");
  door.deliver({ id: "msg_c", from: "agent:writer", inReplyTo: "msg_z" });
  assert.deepEqual((await door.settled()).path, "/v1/inbox/msg_c/done");
});

test("two agents cannot talk in circles, even if answers are not marked as such", async () => {
  const paths: string[] = [];
  for (let i = 0; i < limits.agent.answersPerConversationMax + 2; i++) {
    door.model.push({ stream: openaiStream("And you?") });
    door.deliver({ id: `msg_${i}`, from: "agent:writer" });
    paths.push((await door.settled()).path.split("/").at(-1) ?? "");
  }
  assert.equal(paths.filter((verb) => verb === "reply").length, limits.agent.answersPerConversationMax);
  assert.deepEqual(paths.slice(-2), ["done", "done"]);
});

test("a person gets words, even if the model has none", async () => {
  door.model.push({ stream: openaiStream("") });
  door.deliver({});
  assert.equal((await door.settled()).body.body, "(the model gave no answer)");
});

test("a message that is sent belongs to the conversation", async () => {
  const send = (input: object): { name: string; input: string } => ({
    name: "message_send",
    input: JSON.stringify(input),
  });
  door.model.push({
    stream: openaiStream("", [
      send({ to: "writer", body: "go" }),
      send({ to: "writer", body: "go", conversation: "conv_9" }),
    ]),
  });
  door.model.push({ stream: openaiStream("Sent.") });
  door.deliver({});
  await door.settled();
  assert.deepEqual(
    door
      .to("/v1/tools/message.send")
      .map(({ body }) => String(body["conversation"]))
      .sort((a, b) => a.localeCompare(b)),
    ["conv_1", "conv_9"],
  );
});

test("a restarted agent remembers, and goes on in the middle", async () => {
  door.model.push({ stream: openaiStream("Noted.") });
  door.deliver({ id: "msg_1", body: "My name is Ada." });
  await door.settled();
  await stopLoop();

  startLoop();
  door.model.push({ stream: openaiStream("", [{ name: "data_list", input: "{}" }]) }, { status: 503, json: {} });
  door.deliver({ id: "msg_2", body: "Who am I?" });
  while (modelCalls().length < 3) await systemClock.sleep(5);
  await stopLoop();

  startLoop();
  door.model.push({ stream: openaiStream("Ada.") });
  door.deliver({ id: "msg_2", body: "Who am I?" });
  assert.equal((await door.settled()).body.body, "Ada.");
  const roles = last(modelCalls()).messages.map((message) => message.role);
  assert.deepEqual(roles, ["system", "user", "assistant", "user", "assistant", "tool"]);

  door.deliver({ id: "msg_2", body: "Who am I?" });
  assert.equal((await door.settled()).body.body, "Ada.", "said again without asking the model again");
  assert.equal(modelCalls().length, 4);
});

test("a session file that is broken is a new session; crashes and refusals leave the loop running", async () => {
  mkdirSync(join(door.folder, "data/sessions"), { recursive: true });
  writeFileSync(sessionPath(), "{");
  door.model.push({ stream: openaiStream("fresh") });
  door.deliver({});
  assert.equal((await door.settled()).body.body, "fresh");

  // Passes the loader's look and breaks the code that uses it.
  writeFileSync(
    sessionPath(),
    JSON.stringify({ version: 1, conversation: "conv_1", deliveryId: null, answers: 0, turns: [null] }),
  );
  door.deliver({ id: "msg_2" });
  assert.match((await door.settled()).body.body, /the agent failed on this message/);
  assert.ok(events.includes("work.crashed"));

  door.settle = { status: 403, json: { error: { code: "denied", reason: "no", remedy: "" } } };
  door.model.push({ stream: openaiStream("one", []) });
  door.deliver({ id: "msg_3", conversation: "conv_3" });
  assert.equal((await door.settled()).path, "/v1/inbox/msg_3/reply");
  assert.equal((await door.settled()).path, "/v1/inbox/msg_3/done");

  door.settle = { status: 200, json: {} };
  door.model.push({ stream: openaiStream("two") });
  door.deliver({ id: "msg_4", conversation: "conv_4" });
  assert.equal((await door.settled()).body.body, "two");
});

test("history stays within bounds and is kept by rename", async () => {
  const text = "y".repeat(40_000);
  for (let i = 0; i < 24; i++) {
    door.model.push({ stream: openaiStream("z") });
    door.deliver({ id: `msg_${i}`, body: `${i} ${text}` });
    await door.settled();
  }
  const bodies = modelCalls().map((body) => JSON.stringify(body).length);
  assert.ok(Math.max(...bodies) < limits.door.bodyBytesMax);
  const saved = JSON.parse(readFileSync(sessionPath(), "utf8"));
  assert.ok(saved.turns.length < 48 && saved.turns.length > 20);
  assert.match(
    last(saved.turns.filter((turn: { role: string }) => turn.role === "user") as { text: string }[]).text,
    /\n23 y/,
  );
});

test("idle, the agent is one pending poll", async () => {
  await systemClock.sleep(200);
  assert.deepEqual(door.seen.map(({ path }) => path).toSorted(), ["/v1/inbox?wait_ms=25000", "/v1/self"]);
});

test("a door that is gone and comes back is waited for", async () => {
  await stopLoop();
  events.length = 0;
  startLoop(join(door.folder, "late.sock"));
  await systemClock.sleep(150);
  assert.deepEqual(door.seen.slice(2), []);
  const late = await startFakeDoor();
  const { symlinkSync } = await import("node:fs");
  symlinkSync(late.socketPath, join(door.folder, "late.sock"));
  late.model.push({ stream: openaiStream("back") });
  late.deliver({});
  assert.equal((await late.settled()).body.body, "back");
  await stopLoop();
  await late.close();
});
