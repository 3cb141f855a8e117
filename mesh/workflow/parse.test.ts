import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseWorkflow, type LoadFile } from "./parse.ts";
import { faults } from "./testing/faults.ts";
import { compile, findingsOf, HEAD, noFile } from "./testing/plans.ts";

for (const [name, text, expected] of faults) {
  test(`found with its place: ${name}`, () => {
    const found = findingsOf(text, name.startsWith("input that") ? { n: "x" } : undefined);
    assert.match(found.join("\n"), expected);
    assert.ok(
      found.every((line) => / -> .{4,}$/.test(line)),
      "every finding has a fix",
    );
  });
}

test("parsing never throws, whatever the text", () => {
  const words = [
    "steps",
    ":",
    "\n  ",
    "{",
    "}",
    "agent",
    "map",
    "each",
    "${{",
    "}}",
    "input.a",
    "needs",
    "[",
    "]",
    "a",
    "when",
    '"',
    "- ",
    "&x",
    "*x",
    "1",
    "null",
  ];
  const salad = fc.array(fc.constantFrom(...words), { maxLength: 60 }).map((list) => list.join(" "));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        salad,
        salad.map((text) => HEAD + text),
      ),
      (text) => {
        parseWorkflow(text, "w.yaml", noFile);
      },
    ),
    { seed: 5, numRuns: 600 },
  );
});

test("a workflow of any shape is refused or compiled, never half", () => {
  const value: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 4 });
  const kinds = fc.constantFrom(
    "agent",
    "tool",
    "approve",
    "map",
    "workflow",
    "wait",
    "with",
    "when",
    "needs",
    "join",
    "retry",
    "may",
    "input",
    "output",
    "budget",
  );
  const step = fc.dictionary(kinds, value, { maxKeys: 4 });
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom("a", "b", "__proto__"), step, { maxKeys: 3 }), (steps) => {
      const parsed = parseWorkflow(JSON.stringify({ workflow: 1, name: "w", steps }), "w.yaml", noFile);
      assert.ok(parsed.ok || parsed.error.length > 0);
    }),
    { seed: 5, numRuns: 500 },
  );
});

const child: LoadFile = (path, from) => ({
  ok: true,
  value: { file: path, text: `${HEAD}steps: { a: { workflow: ${from === "w.yaml" ? "b.yaml" : "w.yaml"} } }` },
});

test("a few files that run each other often are read so often only", () => {
  const names = ["b.yaml", "c.yaml", "d.yaml"];
  let read = 0;
  const often =
    (comment: string): LoadFile =>
    (path) => {
      read++;
      const next = names[names.indexOf(path) + 1];
      const work = next === undefined ? "{ wait: { for: 1s } }" : `{ workflow: ${next} }`;
      const steps = Array.from({ length: 60 }, (_, n) => `  s${n}: ${work}`).join("\n");
      return { ok: true, value: { file: path, text: `${HEAD}steps:\n${steps}\n${comment}` } };
    };
  const first = `${HEAD}steps: { a: { workflow: b.yaml } }`;
  assert.match(findingsOf(first, undefined, often("")).join(), /runs more than 64 workflows/);
  assert.equal(read, 64);
  read = 0;
  assert.match(findingsOf(first, undefined, often(`# ${"x".repeat(200_000)}`)).join(), /or more than 1048576 bytes/);
  assert.equal(read, 6);
});

test("what is wrong with a file is told once, however often it is run", () => {
  const faulty: LoadFile = (path) => ({ ok: true, value: { file: path, text: `${HEAD}steps: { a: {} }` } });
  const found = findingsOf(`${HEAD}steps: { a: { workflow: b.yaml }, b: { workflow: b.yaml } }`, undefined, faulty);
  assert.equal(found.length, 1);
});

test("workflows that run one another in a circle, or too deep, are refused", () => {
  assert.match(
    findingsOf(`${HEAD}steps: { a: { workflow: b.yaml } }`, undefined, child).join(),
    /cycle 3:\d+ `b\.yaml` runs itself/,
  );
  let depth = 0;
  const deeper: LoadFile = () => ({
    ok: true,
    value: { file: `f${++depth}`, text: `${HEAD}steps: { a: { workflow: n.yaml } }` },
  });
  assert.match(
    findingsOf(`${HEAD}steps: { a: { workflow: b.yaml } }`, undefined, deeper).join(),
    /nested deeper than 4/,
  );
  assert.ok(depth < 6);
  for (const path of ["../x.yaml", "/etc/passwd", ".hidden"])
    assert.match(
      findingsOf(`${HEAD}steps: { a: { workflow: "${path}" } }`, undefined, child).join(),
      /not a path below/,
    );
});

test("a compiled workflow is plain JSON in topological order", () => {
  const { workflow } = compile(`${HEAD}steps:
  z: { agent: clean, task: last, needs: [m, a] }
  m: { agent: clean, task: "x", needs: [a], on_error: fallback, fallback: f }
  f: { agent: clean, task: y }
  a: { tool: board.write, as: keeper, with: { key: "notes/\${{ run.id }}", value: v } }
`);
  const ids = workflow.steps.map(({ id }) => id);
  assert.deepEqual([ids[0], ids[1]], ["a", "m"]);
  assert.deepEqual(JSON.parse(JSON.stringify(workflow)), workflow);
  const byId = new Map(workflow.steps.map((step) => [step.id, step]));
  assert.deepEqual(byId.get("f")?.standby, { as: "fallback", owner: "m" });
  assert.deepEqual(byId.get("a")?.may.blackboard.write, ["notes/*"]);
});
