import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { globMatches } from "../../lib/glob.ts";
import { prefixesOf } from "./prefixes.ts";

test("the ranges to look through are those that the reader and his pattern have in common, apart and in order", () => {
  assert.deepEqual(prefixesOf("**", ["a/*", "b/**", "a/b/*"]), ["a", "b"]);
  assert.deepEqual(prefixesOf("a/b/*", ["a/**", "c/*"]), ["a/b"]);
  assert.deepEqual(prefixesOf("a/*", ["a/x/*", "a/y", "b"]), ["a/x", "a/y"]);
  assert.deepEqual(prefixesOf("z/*", ["a/**"]), []);
  assert.deepEqual(prefixesOf("**", []), []);
});

test("no key that a pattern and a grant both match lies outside of the ranges", () => {
  const segment = fc.constantFrom("a", "b", "ab", "*", "**", "a*");
  const glob = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
  const key = fc.array(fc.constantFrom("a", "b", "ab"), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
  fc.assert(
    fc.property(glob, fc.array(glob, { maxLength: 3 }), key, (asked, within, each) => {
      const prefixes = prefixesOf(asked, within);
      const visible = globMatches(asked, each) && within.some((grant) => globMatches(grant, each));
      if (visible) assert.equal(prefixes.filter((prefix) => each.startsWith(prefix)).length, 1);
      assert.deepEqual(prefixes, prefixes.toSorted());
    }),
    { seed: 81, numRuns: 2_000 },
  );
});
