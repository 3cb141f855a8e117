import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import { UsageFinder } from "./usage-finder.ts";

function find(text: string | Buffer, sizes: readonly number[] = [1]): UsageFinder {
  const finder = new UsageFinder();
  const bytes = Buffer.from(text);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    finder.push(bytes.subarray(at, at + size));
    at += size;
  }
  return finder;
}

test("it finds what a parser of the whole finds, however the object is cut (property)", () => {
  const value = fc.jsonValue({ maxDepth: 3, stringUnit: "binary" }) as fc.Arbitrary<Json>;
  const name = fc.oneof(fc.constantFrom("data", 'a"b', "usag", "usagee", "{", "\\"), fc.string({ maxLength: 5 }));
  fc.assert(
    fc.property(
      fc.dictionary(name, value, { maxKeys: 5 }),
      fc.option(value, { nil: undefined }),
      fc.nat(5),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(undefined, 1, 2),
      (others, usage, place, sizes, indent) => {
        const members = Object.entries(others).filter(([key]) => key !== "usage" && key !== "__proto__");
        if (usage !== undefined) members.splice(place, 0, ["usage", usage]);
        const whole = Object.fromEntries(members);
        const finder = find(JSON.stringify(whole, null, indent), sizes);
        assert.equal(finder.complete, true);
        assert.deepEqual(finder.usage, usage === undefined ? undefined : (JSON.parse(JSON.stringify(usage)) as Json));
      },
    ),
    { seed: 17, numRuns: 3_000 },
  );
});

test("what only looks like the report is none", () => {
  for (const text of [
    `{"data":[{"usage":{"x":1}}]}`,
    `{"a":"\\"usage\\":{\\"x\\":1}"}`,
    `{"usage":{"x":1},"usage":{"x":2}}`,
    `{"usage":{"x":${" ".repeat(limits.model.usageBytesMax)}1}}`,
    `{"usage":{"x":1}${" ".repeat(limits.model.usageBytesMax)}}`,
    `{"usage":nonsense}`,
    `{"usage":{"x":1}}{"usage":{"x":1}}`,
    `{"usage":{"x":1}} x`,
    `{"usage":{"x":1}}"y"`,
    `[{"usage":{"x":1}}]`,
    `"usage":{"x":1}`,
    `{"usage":{"x":1}}}`,
  ])
    for (const sizes of [[1], [text.length], [3, 5]])
      assert.equal(find(text, sizes).usage, undefined, text.slice(0, 60));
  for (const text of [`{"usage":{"x":1}`, `{"data":"`, "", "x", "[]", `{"a":1]`])
    assert.equal(find(text).complete, false, text);
});

test("an object of many megabytes leaves nothing behind but its report", () => {
  const finder = new UsageFinder();
  finder.push(Buffer.from(`{"data":[{"b64_json":"`));
  const piece = Buffer.alloc(64 * 1024, "A");
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 400; i++) finder.push(piece);
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024);
  finder.push(Buffer.from(`"}],"usage":{"input_tokens":1}}`));
  assert.deepEqual([finder.complete, finder.usage], [true, { input_tokens: 1 }]);
});
