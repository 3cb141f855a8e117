import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { globMatches } from "./glob.ts";

/** The definition, without any cleverness. */
function oracle(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === "**") return key.some((_, at) => oracle(rest, key.slice(at))) || oracle(rest, []);
  const [head, ...tail] = key;
  return head !== undefined && segment([...first], [...head]) && oracle(rest, tail);
}

function segment(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === "*") return segment(rest, text) || (text.length > 0 && segment(pattern, text.slice(1)));
  return first === text[0] && segment(rest, text.slice(1));
}

test("stars keep to their segment, double stars cross segments", () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ["a", "a", true],
    ["a", "ab", false],
    ["ab", "a", false],
    ["*", "a/b", false],
    ["*", "abc", true],
    ["a*c", "abbc", true],
    ["a*c", "ab/c", false],
    ["**", "a/b/c", true],
    ["a/**", "a", true],
    ["a/**", "a/b/c", true],
    ["a/**", "ab", false],
    ["a/**/z", "a/z", true],
    ["a/**/z", "a/b/c/z", true],
    ["a/**/z", "a/b/c/zz", false],
    ["**/*.md", "notes.md", true],
    ["**/*.md", "x/y/notes.md", true],
    ["x**", "xyz", true],
    ["x**", "x/y", false],
    ["a/*", "a/", true],
    ["a/*", "a", false],
    ["a.c", "abc", false],
    ["[a]", "a", false],
    ["?", "a", false],
  ];
  for (const [pattern, key, expected] of table) assert.equal(globMatches(pattern, key), expected, `${pattern} ${key}`);
});

test("agrees with the definition on every small pattern and key", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/", "*", "*", "**", "/**/"), maxLength: 8 });
  const key = fc.string({ unit: fc.constantFrom("a", "b", "/", "*"), maxLength: 8 });
  fc.assert(
    fc.property(text, key, (pattern, candidate) => {
      assert.equal(globMatches(pattern, candidate), oracle(pattern.split("/"), candidate.split("/")));
    }),
    {
      seed: 4,
      numRuns: 5_000,
      examples: [
        ["a/**", "a"],
        ["**/**", ""],
        ["*", "*"],
        ["a*b*", "ab"],
      ],
    },
  );
});

test("evil patterns cost steps in proportion to pattern and key, not to their power", () => {
  const started = performance.now();
  for (const [pattern, key] of [
    [`${"*a".repeat(120)}b`, "a".repeat(256)],
    [`${"**/".repeat(80)}b`, `${"a/".repeat(127)}a`],
    [`${"**/a/".repeat(50)}b`, `${"a/".repeat(127)}a`],
    [`${"*".repeat(255)}b`, "a".repeat(256)],
    // As long as no pattern is, so that steps for each pair of characters would be seen.
    [`*${"a".repeat(200_000)}b`, "a".repeat(400_000)],
  ] as const) {
    assert.equal(globMatches(pattern, key), false);
  }
  // Backtracking over all stars would take years.
  assert.ok(performance.now() - started < 2_000);
});
