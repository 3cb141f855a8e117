/** An agent that may do much serves a step that may do little: hijacked by its task, it tries all the rest. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

/** Tries everything that the agent itself may do, whenever it is told to, and before it takes up a task after a new start. */
const clerk = `
import fs from "node:fs";
import { ask, tell } from "./prelude.mjs";
const tool = (name, args) => ask("POST", "/v1/tools/" + name, args).then(({ status, text }) => status === 200 ? "done" : JSON.parse(text).error.reason);
const attempt = async (when) => tell("attempt", { when, results: {
  inStep: await tool("board.read", { key: "records/open/a" }),
  read: await tool("board.read", { key: "records/closed/a" }),
  write: await tool("board.write", { key: "records/closed/b", value: when }),
  writeInside: await tool("board.write", { key: "records/open/b", value: when }),
  remove: await tool("board.delete", { key: "records/open/a", if_version: 1 }),
  message: await tool("message.send", { to: "other", body: when }),
  files: await tool("files.list", {}),
  output: await tool("output.write", { path: "out.txt", content: when }),
  publish: await tool("bus.publish", { topic: "news/all", body: when }),
}, listed: await ask("POST", "/v1/tools/board.list", { match: "**" }).then(({ text }) => (JSON.parse(text).result?.keys ?? []).map(({ key }) => key)) });
const left = fs.existsSync("/data/when") ? fs.readFileSync("/data/when", "utf8") : "";
if (left !== "") await attempt(left);
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 200)); continue; }
  const { id, body } = JSON.parse(text);
  const word = body.split("\\n")[0];
  if (word === "try") await attempt("in the step");
  if (word === "restart" && left === "") {
    fs.writeFileSync("/data/when", "after a new start");
    process.exit(0);
  }
  if (word === "restart" && left === "after a new start") {
    fs.writeFileSync("/data/when", "after a new mesh");
    tell("waits", {});
    await new Promise((resolve) => setTimeout(resolve, 1e9));
  }
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "done" });
  if (word === "try") await attempt("after the step");
}
`;

const step = (task: string): string => `
workflow: 1
name: little
steps:
  look:
    agent: clerk
    task: ${task}
    timeout: 1h
    may: { tools: [], blackboard: { read: [records/open/**], write: [] } }
`;

let mesh: MeshFixture;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: narrow
files: { read: texts, write: output }
defaults: { model: rehearsal/echo, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  clerk:
    command: [/bin/node, /code/clerk.mjs]
    code: code
    may:
      tools: [files.list, files.read, output.write]
      message: [other]
      blackboard: { read: [records/**], write: [records/**] }
      topics: { publish: [news/**] }
  other: { command: [/bin/node, /code/other.mjs], code: code }
  keeper: { instructions: keeper.md, may: { blackboard: { write: [records/**] } } }
`,
    "keeper.md": "You keep.",
    "texts/a.txt": "a",
    "output/.keep": "",
    "seed.yaml": `
workflow: 1
name: seed
steps:
  open: { tool: board.write, as: keeper, with: { key: records/open/a, value: open } }
  closed: { tool: board.write, as: keeper, with: { key: records/closed/a, value: closed } }
`,
    "try.yaml": step("try"),
    "restart.yaml": step("restart"),
    "code/prelude.mjs": attackerPrelude,
    "code/clerk.mjs": clerk,
    "code/other.mjs": "setInterval(() => {}, 1e6);",
  });
  await over(await start("seed.yaml"));
});
after(async () => {
  await mesh.stop();
});

const start = async (file: string): Promise<string> => (await mesh.desk.startRun(join(mesh.folder, file), {})).run;
const over = (run: string) =>
  eventually(`the end of ${run}`, async () => {
    const found = await mesh.desk.run(run);
    return found.finishedAtMs === null ? undefined : found;
  });

interface Attempt {
  readonly results: Readonly<Record<string, string>>;
  readonly listed: readonly string[];
}
const attempted = (when: string): Promise<Attempt> =>
  eventually(`the attempts ${when}`, async () => {
    const found = (await printed(mesh, "clerk", "attempt")).find((each) => each["when"] === when);
    return found as Attempt | undefined;
  });

function assertNarrow({ results, listed }: Attempt, visible: string): void {
  const { inStep, ...others } = results;
  assert.match(inStep ?? "", /^(?:done$|no board key )/, "what the step names is possible");
  assert.equal(Object.keys(others).length, 8);
  for (const [what, result] of Object.entries(others))
    assert.match(result, /^in this step `clerk` (?:may not|has no) /, what);
  assert.deepEqual(listed, [visible], "a listing shows what the step may read");
}

test("in a step an agent does what the step names and nothing else, and afterwards what it may", async () => {
  const run = await start("try.yaml");
  assertNarrow(await attempted("in the step"), "records/open/a");
  assert.equal((await over(run)).status, "succeeded");
  const { results } = await attempted("after the step");
  for (const [what, result] of Object.entries(results)) assert.equal(result, "done", what);
  const refused = (await mesh.desk.audit(0, 1_000)).records.filter(
    ({ kind, detail }) => kind === "decision" && detail["allow"] === false && detail["run"] === run,
  );
  assert.ok(refused.length >= 5, "the refusals are recorded with their run");
});

test("neither a new start of the agent nor one of the mesh is a way out of the step", async () => {
  const run = await start("restart.yaml");
  // The attempts after the first step have left another key.
  assertNarrow(await attempted("after a new start"), "records/open/b");
  await eventually("the agent to wait", async () => (await printed(mesh, "clerk", "waits"))[0]);
  await mesh.kill();
  mesh = await mesh.again();
  assertNarrow(await attempted("after a new mesh"), "records/open/b");
  assert.equal((await over(run)).status, "succeeded");
});
