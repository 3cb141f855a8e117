import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { describeFaults, parseScenario } from "./parse.ts";

/** `{STEP}` is where the steps under test stand, at line 5, column 9. */
const withStep = (step: string): string => `version: 1\nscenario: x\nroles:\n  a:\n    steps: [${step}]\n`;
const faultsOf = (text: string): string => {
  const parsed = parseScenario(text);
  assert.ok(!parsed.ok, "must be refused");
  return describeFaults(parsed.error, "x.yaml");
};

test("the scenario of the newsroom is understood", () => {
  const parsed = parseScenario(
    readFileSync(new URL("../../../examples/newsroom/rehearsal.yaml", import.meta.url), "utf8"),
  );
  assert.ok(parsed.ok);
  assert.equal(parsed.value.name, "newsroom");
  assert.deepEqual(
    parsed.value.roles.map((role) => role.name),
    ["researcher", "writer", "anyone"],
  );
});

test("what is not understood is refused, with its place", () => {
  const cases: [string, RegExp][] = [
    ["- a\n-", /^x\.yaml:1:1: /],
    ["version: 2\nscenario: x\nroles: { a: { steps: [{ step: s, say: x }] } }", /^x\.yaml:1:10: `version`: must be 1/],
    [
      "version: 1\nscenario: X\nroles: { a: { steps: [{ step: s, say: x }] } }",
      /^x\.yaml:2:11: `scenario`: must be lower-case/,
    ],
    ["version: 1\nscenario: x\nroles: {}", /must name at least one role/],
    [withStep("{ step: s, say: x, shell: ls }"), /^x\.yaml:5:32: unknown key `shell`/],
    [withStep("{ step: s }"), /needs either `call` or `say`/],
    [withStep("{ step: s, say: x, call: { tool: t } }"), /needs either `call` or `say`/],
    [withStep("{ step: s, say: x, each: results.t }"), /`each`, `where` and `parallel` belong to `call`/],
    [withStep("{ step: s, call: { tool: t }, where: { a: { contains: b } } }"), /`where` belongs to `each`/],
    [
      withStep("{ step: s, call: { tool: t, arguments: { a: '{{ item.x }}' } } }"),
      /`item` is known only in a step with `each`/,
    ],
    [withStep("{ step: s, call: { tool: t, arguments: { a: { b: [1, '{{ item.x }}'] } } } }"), /`item` is known only/],
    [
      withStep("{ step: s, call: { tool: files.read } }"),
      /^x\.yaml:5:\d+: `roles\.a\.steps\.0\.call\.tool`: must be a tool's name as the model sees it/,
    ],
    [
      withStep("{ step: s, say: '{{ env.HOME }}' }"),
      /unknown name `env`; a path starts with user, results, refusals, item/,
    ],
    [withStep("{ step: s, say: '{{ user.text | exec }}' }"), /unknown filter `exec`; there are extract, /],
    [withStep("{ step: s, say: '{{ user.text' }"), /`\{\{` without `\}\}`/],
    [withStep("{ step: s, say: '{{ user[0] }}' }"), /is not a path of names joined by dots/],
    [
      withStep("{ step: s, call: { tool: t, arguments: { a: { b: ['{{ nope }}'] } } } }"),
      /`roles\.a\.steps\.0\.call\.arguments\.a\.b\.0`: unknown name `nope`/,
    ],
    [withStep("{ step: s, when: { user: {} }, say: x }"), /needs `starts`, `contains` or `lacks`/],
    [withStep("{ step: s, call: { tool: t }, parallel: 65 }"), /parallel/],
    ["a: &x 1\nb: *x", /are refused/],
    ["version: 1\nversion: 1", /^x\.yaml:2:1: /],
    [`# ${"x".repeat(300_000)}`, /larger than 262144 bytes/],
  ];
  for (const [text, expected] of cases) assert.match(faultsOf(text), expected);
});

test("all faults are named at once", () => {
  const text =
    "version: 1\nscenario: x\nroles:\n  a:\n    steps:\n      - { step: s, say: '{{ nope }}' }\n      - { step: t, say: '{{ user | nope }}' }\n";
  const lines = faultsOf(text).split("\n");
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^x\.yaml:6:25: /);
  assert.match(lines[1] ?? "", /^x\.yaml:7:25: /);
});
