/** Mistakes in the fleet file: `check` and `up` name file, line and column and the fix of each, and nothing is started. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { echoFleet, openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

let home: Home;
let good: string;
before(() => {
  const files = echoFleet("file");
  home = openHome(files);
  good = files["cordon.yaml"] ?? "";
});
after(() => home.close());

/** What is wrong, where, and what is to be said. */
const mistakes: readonly [text: (good: string) => string, place: string, what: RegExp, fix: RegExp][] = [
  [(text) => text.replace("defaults: {", "defaults: { modle: a/b,"), "4:13", /unknown key `modle`/, /`model`/],
  [(text) => text.replace("rehearsal/echo", "rehaersal/echo"), "4:20", /unknown provider/, /did you mean `rehearsal`/],
  [(text) => text.replace("usd: 1.00", "usd: much"), "4:58", /`defaults\.budget\.day\.usd`/, /./],
  [(text) => text.replace("4MiB", "4 lightyears"), "4:85", /`defaults\.sandbox\.disk`/, /./],
  [(text) => text.replace("may: {", "may: { message: [asistant],"), "6:69", /no agent `asistant`/, /`assistant`/],
  [(text) => text.replace("assistant.md", "nobody.md"), "6:30", /is not a file/, /create it, or correct the path/],
  [(text) => `${text}  assistant: {}\n`, "7:3", /is there twice/, /remove one/],
  [() => "version: 1\nfleet: [\n", "3:1", /flow sequence/, /correct the YAML/],
];

for (const [n, [text, place, what, fix]] of mistakes.entries()) {
  test(`mistake ${n + 1}: ${what.source}`, async () => {
    home.write({ "cordon.yaml": text(good) });
    // They take the same way: the second word is there for the first mistake, and for several at once below.
    const words = n === 0 ? [["check"], ["up", "-d"]] : [["check"]];
    for (const run of await Promise.all(words.map((each) => home.cordon(each)))) {
      assertFails(run, what, fix);
      assert.ok(run.stderr.includes(`${join(home.folder, "cordon.yaml")}:${place}: `), run.stderr);
    }
    assert.ok(!existsSync(join(home.state, "cordon.sqlite")), "no mesh came as far as its database");
  });
}

test("several mistakes are told at once, each with its place and its fix, by `up` in the foreground, too", async () => {
  home.write({ "cordon.yaml": "version: 2\nfleet: Not A Name\nagents: {}\n" });
  for (const run of await Promise.all([["check"], ["up", "-d"], ["up"]].map((words) => home.cordon(words)))) {
    assertFails(run, /cordon\.yaml:1:10: `version`[^]*:2:8: `fleet`[^]*:3:9: `agents`/, /expected one of `1`/);
    assert.ok((run.stderr.match(/fix: /g) ?? []).length >= 3, run.stderr);
  }
});

test("a file that is not there, or is none", async () => {
  rmSync(join(home.folder, "cordon.yaml"));
  for (const words of [["check"], ["up"], ["up", "-d"]])
    assertFails(await home.cordon(words), /no fleet file/, /`cordon init`/);
  assertFails(await home.cordon(["check", "--fleet", "other.yaml"]), /other\.yaml/, /`--fleet FILE`/);
  mkdirSync(join(home.folder, "folder.yaml"));
  assertFails(await home.cordon(["up", "-d", "--fleet", "folder.yaml"]), /cannot read the fleet file/, /--fleet FILE/);
});

test("the mended file runs", async () => {
  home.write({ "cordon.yaml": good });
  assertDone(await home.cordon(["up", "-d"]));
  assert.equal(assertDone(await home.cordon(["chat", "assistant", "-m", "at last"])), "at last\n");
  assertDone(await home.cordon(["down"]));
});

test("what a file of somebody else's holds steers no terminal, also where the mesh itself speaks to it", async () => {
  home.write({ "scenario.yaml": 'version: 1\nscenario: x\n"\\e]0;owned\\a": 1\n' });
  const run = await home.cordon(["rehearsal", "serve", "--port", "40123", "--scenario", "scenario.yaml"]);
  assert.equal(run.code, 1);
  assert.match(run.stderr, /unknown key `\\u\{1b\}\]0;owned\\u\{7\}`/);
  assert.ok(!run.stderr.includes("\u001b"));
});
