import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toolArguments, toolNames } from "./door.ts";
import { confidentialityLevels, integrityLevels, joinLabels, Label, unlabelled } from "./label.ts";
import { BoardGlob, BoardKey, FilePath, Name } from "./names.ts";
import { refusalStatus } from "./refusal.ts";

const table = (
  schema: { safeParse(value: unknown): { success: boolean } },
  good: readonly string[],
  bad: readonly unknown[],
): void => {
  for (const value of good) assert.ok(schema.safeParse(value).success, JSON.stringify(value));
  for (const value of bad) assert.ok(!schema.safeParse(value).success, JSON.stringify(value));
};

test("names, keys, patterns and paths: what they are and what they are not", () => {
  table(
    Name,
    ["a", "a1-b2", "x".repeat(40)],
    ["", "A", "1a", "-a", "a-", "a--b", "a_b", "a\n", "x".repeat(41), "é", 5, "__proto__"],
  );
  const noKeys = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a b",
    "a\\b",
    "a\0",
    "a\n",
    "é",
    "a/".repeat(12) + "a",
    "x".repeat(257),
  ];
  table(BoardKey, ["a", "a/b.c/D_1-2", "..."], [...noKeys, "*", "a/**"]);
  table(BoardGlob, ["a", "**", "a/*/b*", "***"], noKeys);
  table(
    FilePath,
    ["a", "a b/c (1).md", "日本/ü.txt"],
    [
      "",
      "/",
      "/a",
      "a/",
      "a//b",
      ".",
      "..",
      ".env",
      "a/.git",
      "a\\b",
      "a\0",
      "a\n",
      "x".repeat(513),
      "a:b",
      "~a",
      "a\u202eb",
    ],
  );
});

test("the arguments of every tool are strict", () => {
  for (const name of toolNames) {
    for (const value of [null, [], "x", { extra: 1 }, JSON.parse(`{"__proto__":1,"x":1}`)])
      assert.ok(!toolArguments[name].safeParse(value).success, name);
  }
});

test("no refusal has a status that client libraries retry by themselves, but `busy`", () => {
  for (const [code, status] of Object.entries<number>(refusalStatus)) {
    assert.equal(status === 408 || status === 409 || status === 429 || status >= 500, code === "busy", code);
    assert.ok(status >= 400 && status < 600);
  }
});

const label: fc.Arbitrary<Label> = fc.record(
  {
    integrity: fc.constantFrom(...integrityLevels),
    confidentiality: fc.constantFrom(...confidentialityLevels),
    sources: fc.uniqueArray(fc.constantFrom("a", "b", "c", "d")).map((sources) => sources.sort()),
  },
  { noNullPrototype: true },
);

test("a join never raises integrity and never lowers confidentiality; order and repetition do not matter", () => {
  fc.assert(
    fc.property(label, label, label, (a, b, c) => {
      const joined = joinLabels(a, b);
      for (const part of [a, b]) {
        assert.ok(integrityLevels.indexOf(joined.integrity) >= integrityLevels.indexOf(part.integrity));
        assert.ok(
          confidentialityLevels.indexOf(joined.confidentiality) >= confidentialityLevels.indexOf(part.confidentiality),
        );
        assert.ok(part.sources.every((source) => joined.sources.includes(source)));
      }
      assert.deepEqual(joined, joinLabels(b, a));
      assert.deepEqual(joinLabels(joined, c), joinLabels(a, joinLabels(b, c)));
      assert.deepEqual(joinLabels(a, a), a);
      assert.ok(Label.safeParse(joined).success);
    }),
    { seed: 20 },
  );
  assert.equal(unlabelled.integrity, integrityLevels.at(-1));
});
