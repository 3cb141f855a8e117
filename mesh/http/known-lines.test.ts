import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readFields } from "./fields.ts";
import { KnownLines } from "./known-lines.ts";

const MOST = 6;
const name = fc.constantFrom("x-a", "X-A", "X-Ab", "content-length", "__proto__", "x-a ", "");
const value = fc.constantFrom(" 1", " 12", "1", "\t1 ", " a: b", " 1\r\n folded", " 1\n", " 1\0", "", " \u00e9");
const line = fc.tuple(name, value).map(([field, text]) => `${field}:${text}\r\n`);
/** Heads that are mostly alike: lines of one change, go, come in between, or change their places. */
const heads = fc.array(line, { maxLength: MOST }).chain((usual) =>
  fc.array(
    fc
      .array(fc.tuple(fc.nat(MOST), fc.nat(3), line), { maxLength: 2 })
      .map((changes) =>
        changes.reduce((lines, [at, gone, other]) => lines.toSpliced(at, gone, ...(gone < 2 ? [other] : [])), usual),
      ),
    { maxLength: 6 },
  ),
);

test("with the lines of the heads before known, a head is read as without", () => {
  let read = 0;
  fc.assert(
    fc.property(heads, fc.constantFrom("", "HTTP/1.1 200 OK\r\n"), (all, before) => {
      const known = new KnownLines();
      for (const lines of all) {
        const text = before + lines.join("");
        const expected = readFields(text, before.length, MOST);
        const own = known.read(text, before.length, MOST);
        assert.deepEqual(own, expected, JSON.stringify(text));
        assert.deepEqual(Object.keys(own ?? {}), Object.keys(expected ?? {}));
        if (own) read++;
      }
    }),
    { seed: 5, numRuns: 4_000 },
  );
  assert.ok(read > 1_000, `${read} heads were read`);
});

test("a field that came once is not in a head that does not say it, and a list is the own one of its head", () => {
  const known = new KnownLines();
  const first = known.read("x-a: 1\r\nx-a: 2\r\nx-b: 3\r\n", 0, MOST);
  assert.ok(Array.isArray(first?.["x-a"]));
  first["x-a"].push("not said");
  assert.deepEqual({ ...known.read("x-a: 1\r\nx-a: 2\r\nx-b: 3\r\n", 0, MOST) }, { "x-a": ["1", "2"], "x-b": "3" });
  assert.deepEqual({ ...known.read("x-b: 3\r\n", 0, MOST) }, { "x-b": "3" });
  assert.deepEqual({ ...known.read("x-a: 4\r\nx-c: 3\r\n", 0, MOST) }, { "x-a": "4", "x-c": "3" });
});
