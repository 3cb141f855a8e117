import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { readMounts } from "./mounts.ts";
import { runProgram } from "./process.ts";
import { exitOf, mountFlags, quickly, reapedExit, runReaped, warmGroups } from "./reaper.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-reaper-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

/** Runs a shell line, as a runtime would be run; returns its code and what it printed. */
async function run(line: string, timeoutMs = 20_000): Promise<{ code: number; text: string }> {
  const output = join(folder, String(++files));
  const code = await runReaped("/bin/sh", ["-c", line], { output, clock, timeoutMs });
  return { code, text: readFileSync(output, "utf8") };
}

it("tells how a program ended and what it printed", async () => {
  assert.deepEqual(await run("echo out; echo err >&2; exit 7"), { code: 7, text: "out\nerr\n" });
  assert.equal((await run("kill -KILL $$")).code, 255);
  assert.equal(await runReaped("/nonexistent", [], { output: "/dev/null", clock, timeoutMs: 20_000 }), 127);
});

it("tells how a process ended that the program left behind, before and after it was asked for", async () => {
  for (const [end, told] of [
    ["exit 5", { code: 5 }],
    ["kill -SEGV $$", { signal: "SIGSEGV" }],
    ["exit 0", { code: 0 }],
  ] as const) {
    const { text } = await run(`sh -c 'sleep 0.2; ${end}' & echo $!`);
    const first = await reapedExit(Number(text), clock);
    assert.deepEqual(first, told);
    assert.equal(await reapedExit(Number(text), clock), null, "once");
  }
});

it("lets others have the processor first where it is told that there is time", async () => {
  const niceness = async (patient: boolean): Promise<number> => {
    const output = join(folder, String(++files));
    const args = ["-c", "nice"];
    assert.equal(await runReaped("/bin/sh", args, { output, clock, timeoutMs: 20_000, patient }), 0);
    return Number(readFileSync(output, "utf8"));
  };
  const own = await niceness(false);
  assert.equal(own, getPriority());
  assert.equal(await niceness(true), Math.min(19, own + 10));
});

it("ends a program that takes too long", async () => {
  assert.equal((await run("exec sleep 60", 50)).code, 124);
});

it("asks to be moved where it is until the start is over", async () => {
  const procs = join(folder, "procs");
  writeFileSync(procs, "");
  const end = warmGroups(procs, { clock, timeoutMs: 60_000 });
  const told = (): readonly string[] => readFileSync(procs, "latin1").split("\n").slice(0, -1);
  const until = async (what: string, done: () => boolean): Promise<void> => {
    for (let n = 0; !done(); n++) {
      assert.ok(n < 1_000, what);
      await clock.sleep(10);
    }
  };
  await until("it asks again and again", () => told().length > 2);
  const [pid] = told();
  assert.deepEqual([...new Set(told())], [pid]);
  assert.notEqual(Number(pid), process.pid);
  end();
  await until("it ends when it is told to", () => !existsSync(`/proc/${pid}`));
});

const skip = process.getuid?.() !== 0 && "mounts need root";

it("mounts and makes pipes as asked, and says when it could not", { skip }, async () => {
  const at = (name: string): string => join(folder, name);
  const bounds = { clock, timeoutMs: 20_000 };
  for (const name of ["from", "shown", "volume"]) mkdirSync(at(name));
  writeFileSync(at("image"), "");
  truncateSync(at("image"), 4 * 1024 ** 2);
  const made = await runProgram("mkfs.ext4", ["-q", "-F", at("image")], { clock });
  assert.equal(made.code, 0, made.stderr);
  const { ro, nosuid, nodev } = mountFlags;
  try {
    assert.equal(await quickly.bind(at("from"), at("shown"), ro | nosuid | nodev, bounds), true);
    assert.throws(() => writeFileSync(at("shown/file"), ""), { code: "EROFS" });
    assert.equal(await quickly.loop(at("image"), at("volume"), bounds), true);
    writeFileSync(at("volume/file"), "kept");
    const text = readFileSync("/proc/self/mounts", "utf8").split("\n");
    for (const [name, flags] of [
      ["shown", /\bro,nosuid,nodev\b/],
      ["volume", /\brw,nosuid,nodev,noatime\b.*errors=remount-ro/],
    ] as const)
      assert.match(text.find((line) => line.includes(at(name))) ?? "", flags);
    assert.equal(await quickly.pipe(at("pipe"), bounds), true);
    assert.equal(statSync(at("pipe")).mode & 0o7777, 0o200);
    assert.ok(statSync(at("pipe")).isFIFO());
    assert.equal(await quickly.pipe(at("pipe"), bounds), false);
    assert.equal(await quickly.bind(at("absent"), at("shown"), 0, bounds), false);
    assert.equal(await quickly.loop(at("absent"), at("volume"), bounds), false);
    assert.equal(await quickly.loop(at("from"), at("volume"), bounds), false);
    assert.equal(await quickly.unmount([at("from")], bounds), false);
    assert.equal(await quickly.unmount([at("volume"), at("shown")], bounds), true);
  } finally {
    for (const name of ["shown", "volume"]) spawnSync("umount", [at(name)]);
  }
  assert.deepEqual(
    (await readMounts()).filter(({ point }) => point.startsWith(folder)),
    [],
  );
});

it("reads a status of wait(2)", () => {
  assert.deepEqual([0, 256, 0xff00, 9, 139].map(exitOf), [
    { code: 0 },
    { code: 1 },
    { code: 255 },
    { signal: "SIGKILL" },
    { signal: "SIGSEGV" },
  ]);
});
