/** How an ordinary user's mesh starts, is refused and ends; the fence itself is in sandbox-rootless.test.ts. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { echoFleet } from "../commands/cordon.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { cordon, openUser, type OrdinaryUser, type Running, skipRootless } from "./rootless/ordinary-user.ts";

const skip = await skipRootless();
if (skip !== false) console.error(`SKIPPED: the mesh of an ordinary user: ${skip}`);
const victim = fileURLToPath(new URL("rootless/victim.ts", import.meta.url));
const script = fileURLToPath(new URL("../../scripts/allow-rootless.sh", import.meta.url));
const PATIENCE_MS = 90_000;
/** A mesh that does not end would be waited for; what it left is ended when the user is taken away. */
const soon = { timeout: 100_000 };

describe("the sandboxes of an ordinary user's mesh", { skip, timeout: 290_000 }, () => {
  let user: OrdinaryUser;
  before(async () => void (user = await openUser()));
  after(() => user?.close());

  const said = (running: Running, what: RegExp) =>
    eventually(
      `${what}`,
      async () => {
        assert.doesNotMatch(running.said(), /Error|cordon: /);
        return what.test(running.said()) || undefined;
      },
      PATIENCE_MS,
    );
  const startVictim = async (installation: string): Promise<{ running: Running; state: string }> => {
    const state = join(user.home, installation);
    const running = user.enter(victim, installation, state);
    await said(running, /^up$/m);
    assert.ok(user.groups().some((group) => group.includes(`/cordon-${installation}/`)));
    return { running, state };
  };
  const again = async (installation: string, state: string): Promise<string> => {
    const { code, text } = await user.enter(victim, installation, state, "again").finished;
    assert.equal(code, 0, text);
    return text;
  };

  it("are refused when the operator takes one group away, with the command that gives it back", async () => {
    writeFleet(home());
    // Without the first he is not even let in; without the second the mesh inside says no.
    for (const controller of user.version === 2 ? ["whole"] : ["pids", "memory"]) {
      const group = user.groupOf(controller);
      user.take(controller);
      try {
        const up = await user.run(process.execPath, [cordon, "up", "-d", ...inFolder(home())]).finished;
        assert.notEqual(up.code, 0);
        const missing = user.version === 2 ? "this process is in" : group;
        assert.match(up.text, new RegExp(`no control group of its own to hold limits with: [^;]*${missing}`));
        assert.match(up.text, new RegExp(`sudo (?:sh \\S+/allow-rootless\\.sh|loginctl \\S+) ${user.name}`));
        // Nor by a caller who asks nobody: the runtime is not let go on without the group.
        const straight = await user.enter(victim, "abcdefgh", join(user.home, "straight")).finished;
        assert.notEqual(straight.code, 0);
        assert.match(straight.text, /SandboxError/);
        assert.doesNotMatch(straight.text, /^up$/m);
      } finally {
        user.give();
      }
    }
    await user.ended();
    assert.deepEqual(user.groups(), []);
  });

  for (const [who, victimOf] of [
    ["the process that waits outside", (pid: number) => pid],
    ["the first process of the namespace", (pid: number) => childrenOf(pid)[0]],
    ["the mesh itself", (pid: number) => childrenOf(childrenOf(pid)[0])[0]],
  ] as const) {
    it(`leave nothing when ${who} is killed, and the next mesh goes on with their volumes`, soon, async () => {
      const installation = `victim${who.length % 10}0`.slice(0, 8).padEnd(8, "x");
      const { running, state } = await startVictim(installation);
      const pid = victimOf(running.pid) ?? 0;
      assert.ok(pid > 1 && user.processes().includes(pid));
      process.kill(pid, "SIGKILL");
      await running.finished;
      await user.ended();
      assert.equal(readFileSync("/proc/self/mounts", "utf8").includes(`/${installation}/`), false);
      assert.ok(user.groups().length > 0, "the kernel removes no group by itself");
      // Whichever mesh of his comes next clears them, not only one on the same state.
      assert.equal((await user.enter("-e", "0").finished).code, 0);
      assert.deepEqual(user.groups(), []);
      assert.equal(await again(installation, state), "found n+\nleft 0\n");
      assert.deepEqual(user.groups(), []);
    });
  }

  it("belong to one mesh of his at a time", soon, async () => {
    const { running } = await startVictim("onlyonea");
    // The lock is on a folder that nobody else may open: others of the machine could hold it instead.
    for (const mount of readdirSync("/sys/fs/cgroup")) {
      const group = user.groupOf(mount);
      if (existsSync(group)) assert.equal(statSync(group).mode & 0o077, 0, group);
    }
    const second = await user.enter("-e", "console.log('in')").finished;
    assert.equal(second.code, 1);
    assert.match(second.text, /^cordon: a mesh of `[^`]+` runs already[^]*^fix: /m);
    running.kill("SIGKILL");
    await running.finished;
    await user.ended();
  });

  it("share a group with no process that is not his, and the operator's script says so", async () => {
    const sleeping = user.run("/bin/sleep", ["1000"]);
    const bring = (pid: string) => spawnSync("sh", [script, user.name, pid], { encoding: "utf8" });
    for (const pid of [
      String(process.pid),
      "1",
      "self",
      `${process.pid}/../self`,
      "-1",
      "999999999",
      `${sleeping.pid}/task/${sleeping.pid}`,
    ]) {
      const { status, stderr } = bring(pid);
      assert.equal(status, 1, pid);
      assert.match(stderr, /is not one of cordon-/, pid);
    }
    assert.doesNotMatch(readFileSync("/proc/self/cgroup", "latin1"), /cordon-user-/);
    assert.equal(bring(String(sleeping.pid)).status, 0);
    sleeping.kill("SIGKILL");
    await sleeping.finished;
  });

  it("end in order: signals and the exit code pass through the namespace", soon, async () => {
    const code = `process.on("SIGTERM", () => process.exit(7)); setInterval(() => {}, 1e6); console.log("up");`;
    const running = user.enter("-e", code);
    await said(running, /^up$/m);
    running.kill("SIGTERM");
    assert.equal((await running.finished).code, 7);
    await user.ended();
  });

  it("are said to be his in what `cordon` prints, and hold a fleet", async () => {
    writeFleet(home());
    const run = async (...words: readonly string[]): Promise<string> => {
      const { code, text } = await user.run(process.execPath, [cordon, ...words]).finished;
      assert.equal(code, 0, text);
      return text;
    };
    const about = new RegExp(`rootless: user namespace of ${user.name}, 31 sandboxes at a time, /data by fuse2fs`);
    assert.match(await run("up", "-d", ...inFolder(home())), about);
    try {
      assert.equal(await run("chat", "assistant", "-m", "hello", ...inFolder(home()).slice(2)), "hello\n");
      const second = await user.run(process.execPath, [cordon, "up", "-d", ...inFolder(home())]).finished;
      assert.notEqual(second.code, 0);
      assert.match(second.text, /a mesh runs on the state/);
    } finally {
      await run("down", ...inFolder(home()).slice(2));
    }
    await user.ended();
    assert.deepEqual(user.groups(), []);
  });

  const home = (): string => join(user.home, "fleet");
  function writeFleet(home: string): void {
    mkdirSync(join(home, "prompts"), { recursive: true });
    for (const [name, text] of Object.entries(echoFleet("rootless"))) writeFileSync(join(home, name), text);
    for (const folder of [home, join(home, "prompts")]) chownSync(folder, user.id, user.id);
  }
});

const inFolder = (home: string): readonly string[] => [
  ...["--fleet", join(home, "cordon.yaml")],
  ...["--state", join(home, "state")],
];

function childrenOf(pid: number | undefined): readonly number[] {
  if (pid === undefined) return [];
  const text = execFileSync("ps", ["--ppid", String(pid), "-o", "pid="], { encoding: "utf8" });
  return text.trim().split(/\s+/).map(Number);
}
