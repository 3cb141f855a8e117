/** `cordon credential bind`: what it prints is what the fleet file takes, and it writes nothing. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseDocument } from "yaml";
import { openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const PIN = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
const FLEET = `version: 1
fleet: b
defaults: { model: rehearsal/echo }
agents:
  coder: { command: [/bin/node] }
`;
let home: Home;
before(() => {
  home = openHome({ "cordon.yaml": FLEET });
});
after(() => home.close());

const bind = (...words: readonly string[]) => home.cordon(["credential", "bind", "key", ...words]);

test("what it prints makes a fleet file that is right, for each kind of place", async () => {
  for (const words of [
    ["--to", "https://api.example.org/v1/**", "--in", "header:x-api-key", "--require"],
    ["--to", "https://api.example.org", "--in", "basic"],
    ["--to", "https://api.example.org", "--in", "json:auth.token"],
    ["--to", "https://sqs.example.org", "--in", "aws:eu-central-1/sqs"],
    ["--to", "git@git.example.org:team/site.git", "--host-key", PIN],
  ]) {
    const run = await bind(...words, "--agent", "coder");
    assertDone(run);
    const document = parseDocument(FLEET);
    const stanza = parseDocument(run.stdout).toJS() as Record<string, Record<string, Record<string, unknown>>>;
    for (const [key, value] of Object.entries(stanza)) if (key !== "agents") document.setIn([key], value);
    document.setIn(["agents", "coder", "may"], stanza["agents"]?.["coder"]?.["may"]);
    home.write({ "whole.yaml": document.toString() });
    assertDone(await home.cordon(["check", "--fleet", "whole.yaml"]));
  }
});

test("what cannot be meant is refused with its fix, and nothing is written", async () => {
  const wrong: readonly (readonly [words: readonly string[], told: RegExp, fix: RegExp, code?: 2])[] = [
    [["--to", "http://api.example.org", "--in", "basic"], /in clear text/, /bind it to an `https` place/],
    [["--to", "https://api.example.org", "--in", "cookie"], /is not a place in a request/, /header:/],
    [["--to", "git@git.example.org:x.git", "--in", "basic"], /needs the key of its server/, /give `--host-key`/],
    [["--to", "git@git.example.org:x.git", "--host-key", "x"], /the host key is not taken/, /ssh-keyscan/],
    [["--to", "https://api.example.org"], /not said where in a request/, /give `--in`/, 2],
  ];
  for (const [words, told, fix, code = 1] of wrong)
    assertFails(await bind(...words, "--agent", "coder"), told, fix, code);
  const nobody = await bind("--to", "https://api.example.org", "--in", "basic", "--agent", "nobody");
  assertFails(nobody, /no agent `nobody`/, /name one of its own/);
  assertFails(
    await bind("--to", "https://api.example.org", "--in", "basic"),
    /needs a place and an agent/,
    /for example/,
    2,
  );
  assert.equal(readFileSync(join(home.folder, "cordon.yaml"), "utf8"), FLEET);
  assert.ok(!existsSync(home.state));
});
