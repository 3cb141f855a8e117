import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Json } from "../../lib/json.ts";
import { evaluateCondition, parseCondition } from "./condition.ts";
import { evaluate, type Scope } from "./expression.ts";
import { parseExpression } from "./parse-expression.ts";

const scope = (input: Json, outputs: Readonly<Record<string, Json>> = {}): Scope => ({
  runId: "run_1",
  input,
  outputs: new Map(Object.entries(outputs)),
});

function holds(source: string, at: Scope): boolean | string {
  const parsed = parseCondition(source);
  if (!parsed.ok) return parsed.error;
  const value = evaluateCondition(parsed.value, at);
  return value.ok ? value.value : value.error;
}

test("conditions compare data", () => {
  const at = scope({ n: 3, s: "abc", list: ["x", "y"] }, { a: { ok: true, items: [{ k: 1 }, { k: 2 }] }, none: null });
  for (const [source, expected] of [
    ["input.n > 2 && input.s == 'abc'", true],
    ["size(input.list) == 2 && 'x' in input.list", true],
    ["steps.a.output.items.exists(i, i.k == 2)", true],
    ["steps.a.output.items.all(i, i.k == 2)", false],
    ["steps.none.output == null", true],
    ["steps.unknown.output == null", true],
    ["has(steps.a.output.ok) && !has(steps.a.output.no)", true],
    ["steps['a'].output['items'][0].k == 1", true],
    ["input.s.startsWith('ab') ? input.n == 3 : false", true],
  ] as const)
    assert.equal(holds(source, at), expected, source);
});

test("what goes wrong is an error, never false", () => {
  const at = scope({ n: 3 }, { a: null });
  for (const source of [
    "input.m == 1",
    "steps.a.output.x > 1",
    "input.n",
    "input.n > 'a'",
    "input.__proto__ == null",
    "input.constructor == null",
  ])
    assert.equal(typeof holds(source, at), "string", source);
});

test("what could cost more than it looks at is refused", () => {
  for (const source of [
    "'a'.matches('(a+)+$')",
    "1 + 1 == 2",
    "[1].map(x, x * 2) == [2]",
    "[1].all(x, [2].all(y, x == y))",
    "timestamp('2020-01-01T00:00:00Z') < timestamp('2021-01-01T00:00:00Z')",
    "string(input) == ''",
    "process.exit() == 1",
    "steps == steps",
    "size(steps) > 1",
    "steps.a == null",
    "[1].exists(input, input == 1)",
    "{'a': 1} == {'a': 1}",
    `${"(".repeat(13)}true${")".repeat(13)}`,
    `true${" || true".repeat(200)}`,
    `${"[1].all(x, true) && ".repeat(5)}true`,
  ])
    assert.equal(parseCondition(source).ok, false, source);
  const much = scope({ list: Array.from({ length: 5_000 }, (_, i) => i) });
  assert.match(String(holds("input.list.exists(i, input.list == [i])", much)), /too much data/);
});

test("any text is refused or evaluated, without an exception", () => {
  const words = [
    "input",
    "steps",
    ".a",
    ".output",
    "(",
    ")",
    "[",
    "]",
    "&&",
    "==",
    "1",
    "'x'",
    "size",
    "in",
    "!",
    "?",
    ":",
    ".all(x, x)",
    "null",
  ];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.array(fc.constantFrom(...words), { maxLength: 20 }).map((w) => w.join("")),
      ),
      (source) => {
        assert.ok(["boolean", "string"].includes(typeof holds(source, scope({ a: 1 }, { a: { a: [1] } }))));
      },
    ),
    { seed: 5, numRuns: 1_500 },
  );
});

test("values keep their type alone and become text among text; text is never read again", () => {
  const at = scope({ a: { b: [1, "${{ input.secret }}"] }, secret: "s" });
  const value = (form: unknown): unknown => {
    const parsed = parseExpression(form, []);
    assert.ok(parsed.ok, parsed.ok ? "" : parsed.error);
    const got = evaluate(parsed.value, at);
    return got.ok ? got.value : `error: ${got.error}`;
  };
  assert.deepEqual(value("${{ input.a.b }}"), [1, "${{ input.secret }}"]);
  assert.equal(value("is ${{ input.a.b.1 }}!"), "is ${{ input.secret }}!");
  assert.equal(value("n=${{ input.a.b.0 }} ${{ input.a.b }}"), 'n=1 [1,"${{ input.secret }}"]');
  assert.deepEqual(value({ x: ["${{ run.id }}", 2] }), { x: ["run_1", 2] });
  assert.equal(value("${{ input.a.z }}"), "error: `input.a.z`: there is no `z`");
  assert.equal(value("${{ input.a.b.length }}"), "error: `input.a.b.length`: there is no `length`");
  assert.match(String(value("${{ input.a.toString }}")), /^error/);
  for (const form of [
    "${{ input.__proto__ }}",
    "${{ input..a }}",
    "${{ input.a-1b() }}",
    "${{ }}",
    "${{ steps.a }}",
    "${{ run.by }}",
  ])
    assert.equal(parseExpression(form, []).ok, false, form);
});
