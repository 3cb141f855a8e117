import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { guestEnvironment } from "./environment.ts";
import { jsonLog } from "./log.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const guestProcess = fileURLToPath(new URL("../testing/guest-process.ts", import.meta.url));

function start(
  script: string,
  ...command: readonly string[]
): { child: ChildProcess; output: () => string; exit: Promise<number | null> } {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin", ANTHROPIC_API_KEY: "cordon_ph_of_the_mesh" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  return { child, output: () => output, exit: new Promise((resolve) => child.once("close", resolve)) };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await systemClock.sleep(10);
  assert.ok(condition(), "did not happen within 4 s");
}

test("init exits with the code of its command", async () => {
  assert.equal(await start(main, process.execPath, "-e", "process.exit(7)").exit, 7);
  assert.equal(await start(main, process.execPath, "-e", "process.kill(process.pid, 'SIGKILL')").exit, 128 + 9);
});

test("a command that cannot be started is said and is 127", async () => {
  const run = start(main, "/nowhere/program");
  assert.equal(await run.exit, 127);
  const events = run
    .output()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const fault = events.find(({ event }) => event === "guest.not_started");
  assert.deepEqual(
    [fault.level, fault.program, fault.fault, typeof fault.at],
    ["error", "/nowhere/program", "ENOENT", "number"],
  );
});

test("the command sees the door's addresses and placeholders, and what the mesh set wins", async () => {
  const run = start(main, process.execPath, "-p", "JSON.stringify(process.env)");
  assert.equal(await run.exit, 0);
  const seen = JSON.parse(
    run
      .output()
      .split("\n")
      .find((line) => line.includes("OPENAI_BASE_URL")) ?? "",
  );
  assert.deepEqual(seen, {
    PATH: "/usr/bin:/bin",
    CORDON_URL: "http://127.0.0.1:7070",
    CORDON_MCP_URL: "http://127.0.0.1:7070/mcp",
    OPENAI_BASE_URL: "http://127.0.0.1:7070/openai/v1",
    OPENAI_API_KEY: "cordon_ph_openai",
    ANTHROPIC_BASE_URL: "http://127.0.0.1:7070/anthropic",
    ANTHROPIC_API_KEY: "cordon_ph_of_the_mesh",
    GOOGLE_GEMINI_BASE_URL: "http://127.0.0.1:7070/gemini",
    GEMINI_API_KEY: "cordon_ph_gemini",
    GOOGLE_GENERATIVE_AI_API_KEY: "cordon_ph_gemini",
  });
  assert.deepEqual(guestEnvironment({ CORDON_URL: "x" })["CORDON_URL"], "x");
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} reaches the command, which may end as it likes`, async () => {
    const script = `process.on("${signal}", () => process.exit(42)); console.log("up"); setInterval(() => {}, 1000)`;
    const run = start(main, process.execPath, "-e", script);
    await until(() => run.output().includes("up"));
    run.child.kill(signal);
    assert.equal(await run.exit, 42);
  });
}

test("without a command the agent runs in the same process and stops on SIGTERM", async () => {
  const run = start(main);
  await until(() => run.output().includes("door.refuses"));
  const children = readFileSync(`/proc/${run.child.pid}/task/${run.child.pid}/children`, "utf8");
  assert.equal(children, "");
  run.child.kill("SIGTERM");
  assert.equal(await run.exit, 0);
  assert.match(run.output(), /"event":"loop.stopped"/);
});

test("orphans are reaped, and the command's own code is kept", async () => {
  // Each child starts a grandchild and ends; the grandchild, now an orphan, ends a little later.
  const grandchild = "setTimeout(() => {}, 100)";
  const child = `require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(grandchild)}]).unref(); process.exit(0)`;
  const script = `
    const { spawnSync } = require("node:child_process");
    for (let i = 0; i < 3; i++) spawnSync(process.execPath, ["-e", ${JSON.stringify(child)}]);
    console.log("spawned");
    process.stdin.destroy();
    process.on("SIGTERM", () => process.exit(5));
    setInterval(() => {}, 1000);`;
  const run = start(guestProcess, process.execPath, "-e", script);
  await until(() => run.output().includes("spawned"));
  await systemClock.sleep(1_000);
  assert.deepEqual(
    childrenOf(run.child.pid ?? 0)
      .map(({ state }) => state)
      .filter((state) => state === "Z"),
    [],
  );
  assert.equal(childrenOf(run.child.pid ?? 0).length, 1, "only the guest is left");
  run.child.kill("SIGTERM");
  assert.equal(await run.exit, 5);
});

function childrenOf(parent: number): { pid: string; state: string }[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const [state = "", ppid] = (readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1) ?? "").split(" ");
      return Number(ppid) === parent ? [{ pid, state }] : [];
    } catch {
      return [];
    }
  });
}

test("a log line is one line of bounded length", () => {
  const lines: string[] = [];
  jsonLog({ ...systemClock, nowMs: () => 7 }, (line) => lines.push(line))("warn", "e.x", {
    text: `a\n${"b".repeat(9_999)}`,
    n: 1,
  });
  assert.equal(lines.length, 1);
  assert.ok((lines[0]?.length ?? 0) < 600 && lines[0]?.indexOf("\n") === lines[0]!.length - 1);
  assert.deepEqual({ ...JSON.parse(lines[0] ?? ""), text: "" }, { at: 7, level: "warn", event: "e.x", text: "", n: 1 });
});
