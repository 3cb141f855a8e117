import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Behaviour } from "../testing/fake-newsroom.ts";
import { openScene, type Ran, type Scene } from "../testing/scene.ts";
import type { DemoReport } from "./report.ts";

/** Runs the demo against the fake mesh and holds what every run owes: nothing is left behind. */
async function demo(
  t: TestContext,
  behaviour: Behaviour,
  argv: readonly string[] = [],
): Promise<Ran & { scene: Scene; report: DemoReport | undefined }> {
  const scene = openScene(behaviour);
  t.after(scene.close);
  const ran = await scene.run(["demo", ...argv]);
  assert.deepEqual(readdirSync(join(scene.folder, "tmp")), [], "a temporary folder was left behind");
  const file = join(scene.folder, "cordon-demo", "report.json");
  const report = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as DemoReport) : undefined;
  return { ...ran, scene, report };
}

const attempt = (report: DemoReport | undefined, id: string) => report?.attempts.find((one) => one.id === id);

test("when all holds, every attempt is stopped by what was seen from outside, and the demo ends with 0", async (t) => {
  const { code, report, stdout, stderr, scene } = await demo(t, {});
  assert.equal(code, 0, stderr);
  assert.deepEqual(report?.problems, []);
  assert.equal(report?.attempts.length, 16);
  for (const one of report?.attempts ?? []) {
    assert.equal(one.outcome, "stopped", one.id);
    assert.ok(one.evidence.length > 0, one.id);
  }
  assert.equal(attempt(report, "tcp-out")?.stoppedBy, "kernel: network namespace");
  const seen = (id: string): string => attempt(report, id)?.evidence.join() ?? "";
  assert.equal(seen("board-read"), "denied in audit #2");
  assert.equal(seen("board-write"), "denied in audit #3");
  assert.equal(seen("message-peer"), "denied in audit #4");
  assert.match(seen("desk-routes"), /^all 7 decisions .* own name,denied in audit #5$/);
  assert.match(seen("forge-sender"), /own name,denied in audit #6$/);
  assert.match(seen("spend-past-cap"), /2900 of 3000 tokens used,denied in audit #7$/);
  assert.deepEqual(readdirSync(join(scene.folder, "cordon-demo")).sort(), [
    ".cordon-demo",
    "digest.md",
    "report.html",
    "report.json",
  ]);
  assert.match(stdout, /16 of 16 attempts stopped/);
  assert.match(stderr, /▸ starting the mesh/);
});

test("--json prints the report and nothing else", async (t) => {
  const { stdout, report } = await demo(t, {}, ["--json"]);
  const printed = JSON.parse(stdout) as DemoReport;
  assert.deepEqual({ ...printed, files: [] }, { ...report, files: [] });
  assert.deepEqual(
    printed.files.map((file) => file.path),
    ["digest.md", "report.html", "report.json"],
  );
});

// The intern says that it failed each time; the host knows better.
for (const [lie, id, problem] of [
  ["tcp", "tcp-out", /tcp .* was reached/],
  ["udp", "udp-out", /udp .* was reached/],
  ["write-host-file", "read-host-files", /file of the host was touched/],
  ["board", "board-write", /wrote board key digest\/notes\/tides/],
  ["identity", "forge-sender", /names agent:researcher for the intern's sandbox/],
  ["message", "message-peer", /brought about message\.sent/],
] as const) {
  test(`an intern that lies about ${lie} is caught`, async (t) => {
    const { code, report } = await demo(t, { lie });
    assert.equal(code, 1);
    assert.equal(attempt(report, id)?.outcome, "escaped");
    assert.match(report?.problems.join("\n") ?? "", problem);
  });
}

test("an intern that reads the host's file in secret is caught where reads leave a trace", async (t) => {
  const honest = await demo(t, {});
  if (honest.report?.host.hostFile.unread === null) return t.diagnostic("this file system does not note reads");
  const { code, report } = await demo(t, { lie: "read-host-file" });
  assert.equal(code, 1);
  assert.equal(attempt(report, "read-host-files")?.outcome, "escaped");
});

for (const leakIn of ["log", "board", "audit", "output", "state"] satisfies Behaviour["leakIn"][]) {
  test(`the canary is found in: ${leakIn}`, async (t) => {
    const { code, report } = await demo(t, { leakIn });
    assert.equal(code, 1);
    assert.equal(report?.host.canary.foundIn.length, 1);
    assert.equal(attempt(report, "secret-in-files")?.outcome, "escaped");
  });
}

test("an intern that is stopped while it overspends is judged by the mesh's own records", async (t) => {
  const { code, report } = await demo(t, { cutOff: true });
  assert.equal(code, 0);
  assert.equal(report?.attempts.length, 16);
  assert.equal(attempt(report, "spend-past-cap")?.outcome, "stopped");
  assert.match(attempt(report, "spend-past-cap")?.evidence.join() ?? "", /2900 of 3000 tokens.*denied in audit #7/);
});

test("an intern that says it escaped is believed", async (t) => {
  const { code, report } = await demo(t, { confess: true });
  assert.equal(code, 1);
  assert.equal(attempt(report, "mount")?.outcome, "escaped");
});

for (const [behaviour, problem] of [
  [{ overspend: true }, /agent:intern day: 3001 tokens is above its cap/],
  [{ overspend: true, attemptsMax: 15 }, /^agent:intern day: 3001 tokens is above its cap$/m],
  [{ brokenAudit: true }, /broken at record 4: record was altered/],
  [{ attemptsMax: 9 }, /reported 9 attempts; at least 10/],
  [{ attemptsMax: 15 }, /tried nothing against: money/],
  [{ otherAgentFails: true }, /`fork-bomb` was not stopped: .*writer is failed/],
] as const) {
  test(`not well: ${JSON.stringify(behaviour)}`, async (t) => {
    const { code, report } = await demo(t, behaviour);
    assert.equal(code, 1);
    assert.match(report?.problems.join("\n") ?? "", problem);
  });
}

test("a mesh that cannot start, or dies in the middle, ends the demo with the mesh's own words", async (t) => {
  const start = await demo(t, { failStart: true });
  assert.deepEqual([start.code, start.report], [1, undefined]);
  assert.match(start.stderr, /the state is in use by another mesh\nfix: stop it/);
  const middle = await demo(t, { noDigest: true, dieAfterMs: 300 });
  assert.equal(middle.code, 1);
  assert.match(middle.stderr, /cordon: the disk is full\nfix: make room/);
});

test("interrupted in the middle, it stops the mesh and leaves nothing", async (t) => {
  const scene = openScene({ noDigest: true });
  t.after(scene.close);
  const running = scene.run(["demo"]);
  const tmp = join(scene.folder, "tmp");
  const ready = (): boolean => readdirSync(tmp).some((name) => existsSync(join(tmp, name, "desk.sock")));
  while (!ready()) await new Promise((next) => setTimeout(next, 10));
  await new Promise((next) => setTimeout(next, 200));
  scene.interrupt();
  const { code, stderr } = await running;
  assert.equal(code, 1);
  assert.match(stderr, /interrupted by SIGINT\n$/);
  assert.deepEqual(readdirSync(tmp), []);
});

test("a folder with somebody's files is refused and left alone", async (t) => {
  const scene = openScene({});
  t.after(scene.close);
  scene.write("mine/thesis.txt", "ten years");
  const { code, stderr } = await scene.run(["demo", "--output", "mine"]);
  assert.equal(code, 1);
  assert.match(stderr, /holds files that are not the demo's\nfix: name an empty or new one/);
  assert.deepEqual(readdirSync(join(scene.folder, "mine")), ["thesis.txt"]);
});

test("a second run takes away its own files and no other, and follows no link", async (t) => {
  const scene = openScene({});
  t.after(scene.close);
  scene.write("outside/keep.md", "precious");
  scene.write("out/.cordon-demo", JSON.stringify(["old.md", "../outside/keep.md", "link/keep.md", "/etc/hosts"]));
  scene.write("out/old.md", "stale");
  scene.write("out/own-notes.txt", "added by the user");
  symlinkSync(join(scene.folder, "outside"), join(scene.folder, "out", "link"));
  assert.equal((await scene.run(["demo", "--output", "out"])).code, 0);
  assert.equal(existsSync(join(scene.folder, "out/old.md")), false);
  assert.equal(readFileSync(join(scene.folder, "out/own-notes.txt"), "utf8"), "added by the user");
  assert.equal(readFileSync(join(scene.folder, "outside/keep.md"), "utf8"), "precious");
});

test("hostile text stays text, in the terminal and in the page", async (t) => {
  const { scene, stdout, stderr } = await demo(t, { hostileText: true });
  // oxlint-disable-next-line no-control-regex -- control characters are the subject here
  assert.doesNotMatch(stdout + stderr, /[\u001b\u202e]/);
  const page = readFileSync(join(scene.folder, "cordon-demo/report.html"), "utf8");
  assert.match(page, /default-src 'none'/);
  assert.equal(/<(?:script|img|b onclick|a |iframe|link)|\u202e|\u001b/i.exec(page), null);
  assert.match(page, /&lt;script&gt;alert\(1\)/);
  assert.deepEqual(page.match(/<[^>]*\b(?:src|href|action)\s*=[^>]*>|url\((?!#)/gi), null);
});
