/** Words that a command cannot act on: exit code 2 for wrong usage, 1 for what is not there; nothing is changed. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openDesk } from "../../user/cli/desk-client.ts";
import { echoFleet, openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

let home: Home;
before(() => {
  home = openHome(echoFleet("words"));
});
after(() => home.close());

test("wrong usage is told before anything happens", async () => {
  const wrong: [readonly string[], RegExp, RegExp][] = [
    [["statsu"], /there is no command `statsu`/, /did you mean `cordon status`/],
    [["status", "--jsno"], /has no option `--jsno`/, /did you mean `--json`/],
    [["up", "now"], /does not know what to do with `now`/, /usage: cordon up/],
    [["chat"], /needs more words/, /usage: cordon chat/],
    [["exec", "assistant"], /needs a command/, /after `--`/],
    [["audit", "verfy"], /cannot `verfy`/, /did you mean `cordon audit verify`/],
    [["logs", "assistant", "-n", "many"], /not a whole number/, /give such a number/],
    [["credential", "add", "NOT A NAME"], /is no name/, /for example/],
    [["credential", "add", "openai", "sk-on-the-command-line"], /not taken from the command line/, /pipe it in/],
  ];
  const runs = await Promise.all(wrong.map(([words]) => home.cordon(words)));
  runs.forEach((run, n) => assertFails(run, wrong[n]![1], wrong[n]![2], 2));
  assert.ok(runs.every((run) => !run.stderr.includes("sk-on-the-command-line")));
  assert.ok(!existsSync(home.state), "no state came to be");
});

test("without a mesh each command says how to have one, and makes no state", async () => {
  const commands = [
    ["status"],
    ["chat", "assistant", "-m", "x"],
    ["logs", "assistant"],
    ["exec", "assistant", "--", "/bin/node"],
    ["down"],
    ["costs"],
    ["audit", "verify"],
    ["credential", "list"],
    ["credential", "revoke", "x"],
  ];
  for (const run of await Promise.all(commands.map((words) => home.cordon(words)))) {
    assertFails(run, /no mesh is running|there is no state/, /`cordon up`/);
  }
  assert.ok(!existsSync(home.state));
});

test("init writes over nothing", async () => {
  const before = readFileSync(join(home.folder, "cordon.yaml"), "utf8");
  assertFails(await home.cordon(["init"]), /is already there/, /name another folder/);
  assert.equal(readFileSync(join(home.folder, "cordon.yaml"), "utf8"), before);
  assert.deepEqual(readdirSync(home.folder).toSorted(), ["cordon.yaml", "prompts"]);
});

test("credentials that could not work are refused, and none is kept", async () => {
  const refused: [string, RegExp, RegExp][] = [
    ["", /the value is empty/, /pipe in the value/],
    ["\n", /the value is empty/, /pipe in the value/],
    ["sk-first-line\nsecond line\n", /visible ASCII/, /whole value/],
    ["s3cr3t", /at least 8/, /whole value/],
    [`sk-${"x".repeat(70_000)}`, /too long/, /at most/],
  ];
  for (const [input, what, fix] of refused) {
    const run = await home.cordon(["credential", "add", "openai"], { input });
    assertFails(run, what, fix);
    assert.ok(input.trim() === "" || !`${run.stdout}${run.stderr}`.includes(input.trim()), "the value is not repeated");
  }
  assert.match(assertDone(await home.cordon(["credential", "list"])), /no credentials/);
});

test("an agent that is not there, or does not run, is named", async () => {
  assertDone(await home.cordon(["up", "-d"]));
  assertFails(await home.cordon(["chat", "nobody", "-m", "x"]), /no agent `nobody`/, /cordon status/);
  assertFails(await home.cordon(["exec", "nobody", "--", "/bin/node"]), /no agent `nobody`/, /cordon status/);
  assertFails(await home.cordon(["logs", "nobody"]), /no agent `nobody`/, /cordon status/);
  await (await openDesk(home.state)).stop("assistant");
  assertFails(
    await home.cordon(["exec", "assistant", "--", "/bin/node", "--version"]),
    /`assistant` is stopped: stopped by the operator/,
    /start it/,
  );
  const long = await home.cordon(["chat", "assistant", "-m", "y".repeat(70_000)]);
  assertFails(long, /longer than/, /in parts/);
  const empty = await home.cordon(["credential", "add", "openai"], { input: "" });
  assertFails(empty, /the value is empty/, /pipe in the value/);
  assertDone(await home.cordon(["down"]));
});
