import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { newLines } from "./commands/logs.ts";
import { fleetNameOf } from "./commands/init.ts";
import { commands } from "./commands.ts";
import { stageOf } from "./mesh-process.ts";
import type { Behaviour } from "./testing/fake-newsroom.ts";
import { openScene, type Scene } from "./testing/scene.ts";

function scene(t: TestContext, behaviour: Behaviour = {}): Scene {
  const opened = openScene(behaviour);
  t.after(opened.close);
  return opened;
}

/** A scene with a mesh started by `up -d`, and stopped at the end. */
async function running(t: TestContext, behaviour: Behaviour = {}): Promise<Scene> {
  const opened = openScene(behaviour);
  t.after(async () => {
    await opened.run(["down"]);
    opened.close();
  });
  const { code, stderr } = await opened.run(["up", "-d"]);
  assert.equal(code, 0, stderr);
  return opened;
}

test("help names every command, and each has its own", async (t) => {
  const { run } = scene(t);
  const all = await run(["help"]);
  assert.equal(all.code, 0);
  assert.ok(commands.length >= 15);
  for (const command of commands) {
    assert.match(all.stdout, new RegExp(`\\b${command.name} `));
    const own = await run([command.name, "--help"]);
    assert.equal(own.code, 0);
    assert.ok(own.stdout.includes(`usage: cordon ${command.name}`));
    const options = own.stdout.split("\n").filter((line) => /^ {2}(-\w,| {3}) --/.test(line));
    assert.ok(options.length > 0);
    for (const line of options) assert.match(line, /^ {2}(-\w,| {3}) --[\w-]+( \S+)? {2,}\S/);
    assert.deepEqual(await run(["help", command.name]), own);
  }
});

test("no command and a wrong command are usage errors; the nearest is named", async (t) => {
  const { run } = scene(t);
  assert.equal((await run([])).code, 2);
  const wrong = await run(["statsu"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /there is no command `statsu`\nfix: did you mean `cordon status`/);
  assert.equal((await run(["--version"])).stdout, "0.1.0\n");
});

test("without a mesh every command that needs one says how to start it", async (t) => {
  const { run } = scene(t);
  for (const argv of [
    ["status"],
    ["chat", "a", "-m", "x"],
    ["logs", "a"],
    ["events"],
    ["exec", "a", "--", "/bin/true"],
    ["down"],
    ["audit", "show"],
  ]) {
    const { code, stderr } = await run(argv);
    assert.equal(code, 1, argv.join(" "));
    assert.match(stderr, /no mesh is running on the state .*\nfix: start it with `cordon up`/);
  }
});

test("what the mesh is about before it is ready is its last whole line about it", () => {
  assert.equal(stageOf(""), "starting");
  assert.equal(stageOf('{"stage":"preparing a"}\nnoise\n{"stage":"preparing b"}\n{"stage":"prep'), "preparing b");
  assert.equal(stageOf('x{"stage":"forged"}\n'), "starting");
});

test("up without a fleet file names init", async (t) => {
  const { run } = scene(t);
  const { code, stderr } = await run(["up", "--fleet", "nowhere.yaml"]);
  assert.equal(code, 1);
  assert.match(stderr, /there is no fleet file at .*nowhere\.yaml.*\nfix: .*cordon init/);
});

test("up -d leaves a mesh that status sees and down ends, and the log is private", async (t) => {
  const opened = await running(t);
  const { stdout } = await opened.run(["status"]);
  assert.match(stdout, /researcher +running/);
  assert.equal(JSON.parse((await opened.run(["status", "--json"])).stdout).fleet, "newsroom");
  assert.equal(statSync(join(opened.state, "mesh.log")).mode & 0o777, 0o600);
  const pid = Number(readFileSync(join(opened.state, "mesh.pid"), "utf8"));
  process.kill(pid, 0);
  assert.equal((await opened.run(["down"])).stdout, "stopped\n");
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
  assert.equal(existsSync(join(opened.state, "mesh.pid")), false);
});

test("down waits for a mesh that ends without answering", async (t) => {
  const opened = await running(t, { hangUp: true });
  assert.deepEqual(await opened.run(["down"]), { code: 0, stdout: "stopped\n", stderr: "" });
});

test("an error of the mesh is passed on with its fix, detached and in the foreground", async (t) => {
  const opened = scene(t, { failStart: true });
  for (const argv of [["up", "-d"], ["up"]]) {
    const { code, stderr } = await opened.run(argv);
    assert.equal(code, 1);
    assert.equal(stderr, "cordon: the state is in use by another mesh\nfix: stop it with `cordon down`\n");
  }
});

test("up in the foreground shows the fleet, and a signal stops it in order", async (t) => {
  const opened = scene(t);
  const up = opened.run(["up"]);
  while (!existsSync(join(opened.state, "mesh.pid"))) await new Promise((next) => setTimeout(next, 10));
  const pid = Number(readFileSync(join(opened.state, "mesh.pid"), "utf8"));
  opened.interrupt();
  const { code, stdout } = await up;
  assert.equal(code, 0);
  assert.match(stdout, /researcher +running[^]*stopped\n$/);
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
});

test("a mesh that dies ends up with its error", async (t) => {
  const { code, stderr } = await scene(t, { dieAfterMs: 300 }).run(["up"]);
  assert.equal(code, 1);
  assert.match(stderr, /the disk is full/);
});

test("chat sends and prints the reply; each question gets its own answer", async (t) => {
  const opened = await running(t);
  assert.equal((await opened.run(["chat", "researcher", "-m", "hello"])).stdout, "you said: hello\n");
  await opened.run(["down"]);
  await opened.run(["up", "-d"]);
  const { stdout } = await opened.run(["chat", "researcher"], "one\ntwo\n");
  assert.equal(stdout, "agent:researcher ▸ you said: one\nagent:researcher ▸ you said: two\n");
});

test("chat with a halted agent says why instead of waiting", async (t) => {
  const opened = await running(t, { haltedAgent: true });
  const { code, stderr } = await opened.run(["chat", "researcher", "-m", "hello", "--timeout", "10"]);
  assert.equal(code, 1);
  assert.match(stderr, /`researcher` is halted: daily budget is used up/);
});

test("exec passes the words on as they are and makes the output harmless", async (t) => {
  const opened = await running(t);
  const ran = await opened.run(["exec", "researcher", "--", "/bin/echo", "a b", "--json"]);
  assert.deepEqual([ran.code, ran.stdout], [0, "/bin/echo|a b|--json\n\\u{1b}]0;owned\\u{7}\n"]);
  assert.equal((await opened.run(["exec", "researcher", "--", "/bin/false"])).code, 1);
  assert.equal((await opened.run(["exec", "researcher"])).code, 2);
});

test("logs shows the last lines, made harmless", async (t) => {
  const opened = await running(t);
  assert.equal((await opened.run(["logs", "researcher", "-n", "1"])).stdout, "line two \\u{1b}[31mred\n");
  assert.match((await opened.run(["logs", "nobody"])).stderr, /there is no/);
});

test("events shows what is asked for: an agent's, a type's and those below it, the newest", async (t) => {
  const opened = await running(t);
  const lines = async (...words: string[]): Promise<string[]> =>
    (await opened.run(["events", ...words])).stdout.split("\n").filter((line) => line !== "");
  const all = await lines();
  assert.equal(all.length, 2);
  assert.match(all[0] ?? "", /researcher +sandbox\.started +sandbox=sbx_2/);
  assert.deepEqual(await lines("researcher"), all.slice(0, 1));
  assert.deepEqual(await lines("--type", "sandbox"), all);
  assert.deepEqual(await lines("--type", "sand"), []);
  assert.deepEqual(await lines("-n", "1"), all.slice(1));
  const { events } = JSON.parse((await opened.run(["events", "--json"])).stdout) as { events: { type: string }[] };
  assert.deepEqual(
    events.map(({ type }) => type),
    ["sandbox.started", "sandbox.started"],
  );
  assert.equal((await opened.run(["events", "--json", "-f"])).code, 2);
});

test("following a log prints each new line once", () => {
  assert.deepEqual(newLines(["a", "b"], ["a", "b"]), []);
  assert.deepEqual(newLines(["a", "b"], ["a", "b", "c", "d"]), ["c", "d"]);
  assert.deepEqual(newLines(["y", "z"], ["w", "x", "y", "z", "new"]), ["new"]);
  assert.deepEqual(newLines(["a", "b", "c"], ["b", "c", "d"]), ["d"]);
  assert.deepEqual(newLines([], ["a"]), ["a"]);
  assert.deepEqual(newLines(["gone"], ["a", "b"]), ["a", "b"]);
});

test("costs and audit verify ask the desk, and the state itself when nothing is running", async (t) => {
  const opened = await running(t, { brokenAudit: true });
  const shown = (await opened.run(["costs"])).stdout;
  assert.match(shown, /agent:intern +day +2900 tokens +0 tokens +3000 tokens +96 %/);
  assert.match(
    shown,
    /researcher +rehearsal\/newsroom +14 \(2 estimated\) +38000 +1000 +2200 +\$0\.15 +▃█\n/,
    "with its days",
  );
  assert.doesNotMatch((await opened.run(["costs", "--since", "today"])).stdout, /▃█/);
  const online = await opened.run(["audit", "verify"]);
  assert.deepEqual([online.code, online.stdout], [1, "broken: record 4 of 6: record was altered\n"]);
  await opened.run(["down"]);
  assert.equal(JSON.parse((await opened.run(["costs", "--json"])).stdout).currency, "micro-USD");
  const offline = await opened.run(["audit", "verify", "--json"]);
  assert.deepEqual([offline.code, JSON.parse(offline.stdout).badSeq], [1, 3]);
});

test("audit show pages", async (t) => {
  const opened = await running(t);
  const { stdout, stderr } = await opened.run(["audit", "show", "--after", "1", "-n", "2"]);
  assert.deepEqual(stdout.split("\n").length, 4);
  assert.match(stderr, /--after 3/);
  assert.equal((await opened.run(["audit", "verfy"])).code, 2);
});

test("a credential's value comes from standard input, never from the command line", async (t) => {
  const opened = await running(t);
  const argv = await opened.run(["credential", "add", "anthropic", "sk-ant-1"]);
  assert.equal(argv.code, 2);
  assert.match(argv.stderr, /not taken from the command line.*\nfix: .*replace it with a new one/);
  assert.doesNotMatch(argv.stderr, /sk-ant-1/);
  const added = await opened.run(["credential", "add", "anthropic"], "sk-ant-1\n");
  assert.deepEqual([added.code, added.stdout], [0, "`anthropic` is in the vault\n"]);
  assert.match((await opened.run(["credential", "list"])).stdout, /anthropic +1/);
  assert.equal((await opened.run(["credential", "revoke", "old"])).code, 0);
  assert.equal((await opened.run(["credential", "add", "Not A Name"], "x")).code, 2);
  assert.equal((await opened.run(["credential", "add", "empty"], "\n")).code, 1);
});

test("a credential can be added when nothing is running", async (t) => {
  const opened = scene(t);
  assert.equal((await opened.run(["credential", "add", "anthropic"], "offline value\n")).code, 0);
  assert.match((await opened.run(["credential", "list"])).stdout, /stored +2/);
});

test("check passes on what is wrong, with its place", async (t) => {
  const opened = scene(t);
  assert.deepEqual(await opened.run(["check"]), {
    code: 0,
    stdout: "ok: fleet newsroom with researcher, writer\n",
    stderr: "",
  });
  opened.write("cordon.yaml", "modle: x");
  const { code, stderr } = await opened.run(["check"]);
  assert.equal(code, 1);
  assert.match(stderr, /cordon\.yaml:3:5: unknown key `modle`\nfix: did you mean `model`/);
});

test("doctor ends with 1 when one check fails and shows its fix", async (t) => {
  const { code, stdout } = await scene(t).run(["doctor"]);
  assert.equal(code, 1);
  assert.match(stdout, /no +cgroups +no pids\n +fix: mount it/);
});

test("init writes a fleet, completes .gitignore and overwrites nothing", async (t) => {
  const opened = scene(t);
  opened.write("my team 2/.gitignore", "node_modules/");
  assert.equal((await opened.run(["init", "my team 2"])).code, 0);
  const file = join(opened.folder, "my team 2", "cordon.yaml");
  assert.match(readFileSync(file, "utf8"), /^fleet: my-team-2$/m);
  assert.equal(readFileSync(join(opened.folder, "my team 2", ".gitignore"), "utf8"), "node_modules/\n.cordon/\n");
  chmodSync(file, 0o644);
  opened.write("my team 2/cordon.yaml", "mine");
  const again = await opened.run(["init", "my team 2"]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /is already there\nfix: name another folder/);
  assert.equal(readFileSync(file, "utf8"), "mine");
});

test("a fleet's name is made of its folder's", () => {
  assert.equal(fleetNameOf("/x/News Room!"), "news-room");
  assert.equal(fleetNameOf("/x/2026-team"), "team");
  assert.equal(fleetNameOf("/"), "my-fleet");
  assert.equal(fleetNameOf(`/x/${"a".repeat(39)}-b`), "a".repeat(39));
});

test("a state folder whose socket path is too long is refused with the fix", async (t) => {
  const { code, stderr } = await scene(t).run(["status", "--state", "x".repeat(100)]);
  assert.equal(code, 1);
  assert.match(stderr, /too long for a socket.*\nfix: give a shorter one with `--state`/);
});
