import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { Json } from "../../lib/json.ts";
import { publishedSchema } from "./published-schema.ts";
import { compileSchema } from "./schema.ts";
import { misfit } from "./schema-fit.ts";
import { patternFault } from "./schema-pattern.ts";
import { memberOf, typeOfConstant, type Type } from "./schema-type.ts";
import { validate } from "./schema-validate.ts";

test("the published form is the one that is read", () => {
  const published = JSON.parse(
    readFileSync(new URL("../../docs/workflow.schema.json", import.meta.url), "utf8"),
  ) as object;
  assert.deepEqual(
    published,
    JSON.parse(JSON.stringify(publishedSchema())),
    "run `node mesh/workflow/published-schema.ts > docs/workflow.schema.json`",
  );
});

test("schemas outside of the subset are refused, with their place", () => {
  for (const [schema, expected] of [
    [5, /must be a schema/],
    [{ type: "strin" }, /^type must be one of/],
    [{ minLength: 2 }, /^minLength `minLength` belongs to type string: add `type`/],
    [{ type: "integer", minLength: 2 }, /not integer/],
    [{ type: "object", required: ["a"] }, /^required `a` is required but not among/],
    [{ type: "object", properties: { a: { $ref: "#/$defs/b" } } }, /^properties\.a\.\$ref must be/],
    [{ $ref: "https://x/y.json" }, /must be `#/],
    [{ $ref: "#/$defs/a", $defs: { a: { type: "array", items: { $ref: "#/$defs/a" } } } }, /`a` contains itself/],
    [{ const: { a: 1 } }, /must be a text, a number/],
    [{ allOf: [] }, /`allOf` is not in the subset/],
    [{ type: "string", pattern: "(a+)+$" }, /must begin with/],
    [{ type: "number", multipleOf: 0 }, /above 0/],
    [{ anyOf: Array.from({ length: 600 }, () => ({})) }, /too large/],
  ] as const) {
    const compiled = compileSchema(schema);
    assert.ok(!compiled.ok, JSON.stringify(schema).slice(0, 80));
    assert.match(`${compiled.error.path.join(".")} ${compiled.error.message}`, expected);
  }
  let deep: object = { type: "string" };
  for (let i = 0; i < 5_000; i++) deep = { type: "array", items: deep };
  assert.equal(compileSchema(deep).ok, false);
});

test("definitions are written out, annotations fall away, and every keyword is held in the run", () => {
  const compiled = compileSchema({
    title: "t",
    $defs: { tag: { type: "string", pattern: "^[a-z]{1,5}$", description: "d" } },
    type: "object",
    properties: {
      tags: { type: "array", items: { $ref: "#/$defs/tag" }, maxItems: 2 },
      n: { type: ["integer", "null"], minimum: 1 },
    },
    required: ["tags", "n"],
    additionalProperties: false,
  });
  assert.ok(compiled.ok && !JSON.stringify(compiled.value).includes("$defs"));
  const fits = (value: Json): boolean => compiled.ok && validate(compiled.value, value).ok;
  assert.ok(fits({ tags: ["a"], n: null }) && fits({ tags: [], n: 1 }));
  const misfits: readonly Json[] = [
    { tags: ["A"], n: 1 },
    { tags: ["a", "b", "c"], n: 1 },
    { tags: [], n: 0 },
    { tags: [], n: 1.5 },
    { tags: [] },
    { tags: [], n: 1, x: 1 },
    [],
  ];
  for (const value of misfits) assert.equal(fits(value), false, JSON.stringify(value));
});

const types: fc.Arbitrary<Type> = fc.letrec<{ type: Type }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Type>(
      { type: "string" },
      { type: "integer" },
      { type: "number" },
      { type: "boolean" },
      { type: "null" },
      {},
      { type: ["string", "null"] },
      { enum: ["a", 1] },
    ),
    tie("type").map((items): Type => ({ type: "array", items })),
    fc
      .record({ a: tie("type"), b: tie("type"), all: fc.boolean(), open: fc.boolean() })
      .map(({ a, b, all, open }): Type => ({
        type: "object",
        properties: { a, b },
        required: all ? ["a", "b"] : ["a"],
        ...(open ? {} : { additionalProperties: false }),
      })),
    fc.tuple(tie("type"), tie("type")).map((anyOf): Type => ({ anyOf })),
  ),
})).type;

test("a constant that fits before the run fits in the run, and the other way round", () => {
  let fitting = 0;
  const values = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.record({ a: fc.constantFrom("x", "a", 1, 1.5, null, true), b: fc.constantFrom("x", 1, null, []) }),
  ) as fc.Arbitrary<Json>;
  fc.assert(
    fc.property(values, types, (value, type) => {
      const before = misfit(typeOfConstant(value), type) === undefined;
      const inRun = validate(type, value).ok;
      if (inRun) fitting++;
      // An open list of values is checked in the run; whatever the run lets pass, the plan must not refuse.
      assert.ok(
        !inRun || before,
        `${JSON.stringify(value)} / ${JSON.stringify(type)}: ${misfit(typeOfConstant(value), type)}`,
      );
      assert.ok(!before || inRun, `${JSON.stringify(value)} / ${JSON.stringify(type)} passes the plan only`);
    }),
    { seed: 5, numRuns: 3_000 },
  );
  assert.ok(fitting > 300, `${fitting} fitted`);
});

test("types against types: what can be missing, null or else is told", () => {
  const object = (required: readonly string[], n: Type = { type: "integer" }): Type => ({
    type: "object",
    properties: { n },
    required: [...required],
  });
  assert.equal(misfit(object([]), object(["n"])), "`n` can be missing");
  assert.equal(misfit(object(["n"]), object(["n"])), undefined);
  assert.equal(misfit(object(["n"]), object(["n"], { type: "number" })), undefined);
  assert.match(misfit(object(["n"], { type: "number" }), object(["n"])) ?? "", /^`n` is number/);
  assert.match(misfit({ type: ["string", "null"] }, { type: "string" }) ?? "", /^it can be null/);
  assert.match(misfit({ enum: ["a", "b"] }, { enum: ["a"] }) ?? "", /can be "b"/);
  assert.equal(
    memberOf({ type: ["object", "null"], properties: { n: { type: "integer" } }, required: ["n"] }, "n"),
    "null",
  );
  assert.equal(memberOf(object([]), "n"), "absent");
  assert.equal(memberOf(object(["n"]), "constructor"), "missing");
});

test("patterns that are let pass take linear time", () => {
  for (const pattern of [
    "^[a-z]+$",
    "^[a-z]+-[0-9]{2,4}$",
    "^[^,]*,[^,]*$",
    "^\\d{4}-\\d{2}$",
    "^a?b+$",
    "^\\w+\\.$",
  ]) {
    assert.equal(patternFault(pattern), undefined, pattern);
    assert.ok(new RegExp(pattern));
  }
  for (const pattern of [
    "a",
    "^(a)$",
    "^a|b$",
    "^a*a$",
    "^\\w*\\d$",
    "^.*x$",
    "^[a-z]*[0-9]?[a-f]+$",
    "^\\1$",
    "^(?=a)$",
    "^[b-a]$",
    "^[a$",
    "^a++$",
    "^[\\s]$",
    "^é*ü$",
    "^\\$",
  ])
    assert.notEqual(patternFault(pattern), undefined, pattern);
  fc.assert(
    fc.property(fc.stringMatching(/^\^[ab.*+?0-9{},\\dw[\]-]{1,24}\$$/), (pattern) => {
      if (patternFault(pattern) === undefined) {
        const form = new RegExp(pattern);
        const text = `${"ab0".repeat(10_000)}!`;
        const took = (): bigint => {
          const start = process.hrtime.bigint();
          form.test(text);
          return process.hrtime.bigint() - start;
        };
        // A busy machine may stop one try, and not every one; what is quadratic takes seconds each time.
        const isFast = Array.from({ length: 8 }).some(() => took() < 50_000_000n);
        assert.ok(isFast, pattern);
      }
    }),
    { seed: 5, numRuns: 2_000 },
  );
});
