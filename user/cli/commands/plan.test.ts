import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, test } from "node:test";
import { runCli } from "../main.ts";
import { processSurroundings } from "../surroundings.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-plan-"));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "a.md"), "You are a.");
writeFileSync(
  join(folder, "cordon.yaml"),
  "version: 1\nfleet: f\nagents: { a: { model: rehearsal/echo, instructions: a.md } }\n",
);
const steps =
  'input: { type: object, properties: { n: { type: integer } }, required: [n] }\nsteps: { one: { agent: a, task: "Say ${{ input.n }}." } }\n';
writeFileSync(join(folder, "good.yaml"), `workflow: 1\nname: good\n${steps}`);
writeFileSync(join(folder, "bad.yaml"), `workflow: 1\nname: bad\n${steps.replace("a, task", "b, task")}`);
writeFileSync(join(folder, "input.json"), '{"n": 1}');

/** The real command and the real mesh program, in a folder of their own. */
async function run(...argv: string[]): Promise<{ code: number; out: string; errors: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const read: string[][] = [[], []];
  [stdout, stderr].forEach((stream, index) => stream.on("data", (piece: Buffer) => read[index]?.push(String(piece))));
  const surroundings = { ...processSurroundings(), cwd: folder, stdout, stderr, colour: false };
  const code = await runCli(["plan", ...argv], surroundings);
  const [out = [], errors = []] = read;
  return { code, out: out.join(""), errors: errors.join("") };
}

test("a plan that may run: picture, table, digest, exit code 0, and the page", async () => {
  const { code, out } = await run("good.yaml", "--html", "plan.html");
  assert.equal(code, 0, out);
  assert.match(out, /│ one +│[^]*model\.call rehearsal\/echo[^]*plan [0-9a-f]{64}[^]*this plan may run/);
  assert.match(readFileSync(join(folder, "plan.html"), "utf8"), /^<!doctype html>[^]*<svg/);
});

test("a plan that may not run: place, fix, exit code 1", async () => {
  const { code, out } = await run("bad.yaml");
  assert.equal(code, 1);
  assert.match(
    out,
    /error: bad\.yaml:4:\d+: `b` is not an agent of this fleet\n {2}fix: .+\n[^]*this plan may not run/,
  );
});

test("the input is checked, from the command line and from a file", async () => {
  assert.equal((await run("good.yaml", "--input", "@input.json")).code, 0);
  const { code, out } = await run("good.yaml", "--input", '{"n": "x"}');
  assert.equal(code, 1);
  assert.match(out, /the input does not fit: `n`/);
  assert.match((await run("good.yaml", "--input", "{")).errors, /the input is refused[^]*fix: give JSON/);
});

test("as data: the whole plan", async () => {
  const { code, out } = await run("good.yaml", "--json");
  assert.equal(code, 0);
  const answer = JSON.parse(out) as { allowed: boolean; plan: { digest: string; workflow: { name: string } } };
  assert.deepEqual([answer.allowed, answer.plan.workflow.name], [true, "good"]);
});

test("a file that is not there is a finding, too", async () => {
  const { code, out } = await run("none.yaml");
  assert.equal(code, 1);
  assert.match(out, /`none\.yaml` cannot be read: ENOENT/);
});
