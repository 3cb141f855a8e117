/** What speaks against a plan, as a person sees it: each with its file, line, column and what to do. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, test } from "node:test";
import { runCli } from "../main.ts";
import { processSurroundings } from "../surroundings.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-findings-"));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "texts"));
writeFileSync(join(folder, "a.md"), "You work.");
writeFileSync(
  join(folder, "cordon.yaml"),
  `version: 1
fleet: f
files: { read: texts, write: output }
defaults: { model: rehearsal/echo, instructions: a.md, budget: { day: { tokens: 100k } } }
agents:
  clean: { instructions: a.md }
  reader: { instructions: a.md, may: { tools: [files.list, files.read] } }
  writer: { instructions: a.md, may: { tools: [output.write] } }
  keeper: { instructions: a.md, may: { blackboard: { read: [notes/*], write: [notes/*] }, topics: { publish: [news/*] } } }
`.replace("instructions: a.md, budget", "budget"),
);

async function plan(text: string): Promise<{ readonly code: number; readonly out: string }> {
  writeFileSync(join(folder, "w.yaml"), `workflow: 1\nname: w\n${text}`);
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  let out = "";
  for (const stream of [stdout, stderr]) stream.on("data", (piece: Buffer) => (out += String(piece)));
  const surroundings = { ...processSurroundings(), cwd: folder, stdout, stderr, colour: false };
  return { code: await runCli(["plan", "w.yaml"], surroundings), out };
}

/** A token of the form that a provider gives out, put together so that none stands in this file. */
const secret = `sk-ant-${"api03"}-${"A1b2C3d4E5".repeat(8)}-aaaaaAAA`;

const cases: readonly (readonly [name: string, text: string, expected: RegExp])[] = [
  [
    "type mismatch",
    'input: { type: object, properties: { n: { type: integer } }, required: [n] }\nsteps:\n  a: { tool: files.read, as: reader, with: { path: "${{ input.n }}" }, may: { tools: [files.read] } }\n',
    /error: w\.yaml:5:\d+: .*does not fit .*\n {2}fix: hand over what is wanted/,
  ],
  [
    "missing permission",
    "steps:\n  a: { tool: board.write, as: clean, with: { key: notes/x, value: v } }\n",
    /error: w\.yaml:4:14: `clean` may not write board key `notes\/x`\n {2}fix: add `notes\/x` to `agents\.clean\.may\.blackboard\.write`/,
  ],
  [
    "undeclared tool",
    "steps:\n  a: { agent: clean, task: x, may: { tools: [output.write] } }\n",
    /error: w\.yaml:4:36: `clean` has no tool `output\.write`\n {2}fix: add `output\.write` to `agents\.clean\.may\.tools`/,
  ],
  [
    "tool that does not exist",
    "steps:\n  a: { tool: shell.run, as: clean }\n",
    /error: w\.yaml:4:14: `steps\.a\.tool` has a value that is not known\n {2}fix: expected one of `files\.list`/,
  ],
  [
    "topic that is not granted",
    "steps:\n  a: { tool: bus.publish, as: keeper, with: { topic: gossip/x, body: hi } }\n",
    /error: w\.yaml:4:14: `keeper` may not publish on topic `gossip\/x`\n {2}fix: add `gossip\/x` to/,
  ],
  [
    "tainted flow to an outward sink",
    'steps:\n  a: { tool: files.read, as: reader, with: { path: x.md } }\n  b: { tool: output.write, as: writer, needs: [a], with: { path: b.md, content: "${{ steps.a.output.content }}" } }\n',
    /error: w\.yaml:5:\d+: `files\.read` -> `a` -> `output\.write` in `b`: untrusted data can leave here\n {2}fix: need an `approve` step/,
  ],
  [
    "cap that cannot hold",
    "steps:\n  a: { agent: clean, task: x, budget: { tokens: 200k } }\n",
    /error: w\.yaml:4:\d+: the cap of 200000 tokens cannot hold: the day of `clean` has 100000\n {2}fix: ./,
  ],
  [
    "cycle",
    "steps:\n  a: { agent: clean, task: x, needs: [b] }\n  b: { agent: clean, task: x, needs: [a] }\n",
    /error: w\.yaml:4:\d+: a cycle: `a` -> `b` -> `a`\n {2}fix: ./,
  ],
  [
    "unreachable step",
    'steps:\n  a: { agent: clean, task: x, when: "1 > 2" }\n',
    /error: w\.yaml:4:\d+: `a` is never reached: its condition is never true\n {2}fix: ./,
  ],
  [
    "reference to a later step",
    'steps:\n  a: { agent: clean, task: "${{ steps.b.output }}" }\n  b: { agent: clean, task: x, needs: [a] }\n',
    /error: w\.yaml:4:28: `steps\.b\.output` is only known later: `b` needs `a`\n {2}fix: ./,
  ],
  [
    "secret in clear text",
    `steps:\n  a: { agent: clean, task: "use ${secret}" }\n`,
    /error: w\.yaml:4:\d+: .*secret.*\n {2}fix: ./i,
  ],
];

for (const [name, text, expected] of cases) {
  test(`found by \`cordon plan\`: ${name}`, async () => {
    const { code, out } = await plan(text);
    assert.match(out, expected);
    assert.match(out, /this plan may not run|error: /);
    assert.equal(code, 1);
    assert.ok(!out.includes(secret), "what is found is not shown");
  });
}

test("with nothing against it, the same fleet lets a plan run", async () => {
  const { code, out } = await plan(
    "steps:\n  a: { tool: bus.publish, as: keeper, with: { topic: news/x, body: hi } }\n  b: { agent: clean, task: x, needs: [a] }\n",
  );
  assert.equal(code, 0, out);
  assert.match(out, /topic\.publish news\/x/);
});
