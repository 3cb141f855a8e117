import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import { packed, unpacked } from "./packing.ts";
import type { Row } from "./store.ts";

const value = fc.oneof(
  fc.constant(null),
  fc.maxSafeInteger(),
  fc.bigInt(),
  fc.string({ unit: "binary" }),
  // Half of a pair, as JSON text of an agent can hold it.
  fc.constantFrom("\ud800", "a\udfffb", "\u0000", "", '[null,"1"]'),
  fc.uint8Array(),
  // A view into the middle of a larger buffer.
  fc.uint8Array({ minLength: 3 }).map((bytes) => bytes.subarray(1, -1)),
);
const write = fc.array(value, { maxLength: 12 }).map((values) => ["meta.set", ...values] as Row);
/** One form for the same bytes, and of the two zeros the one that SQLite has. */
const read = (writes: readonly Row[]): unknown =>
  writes.map((each) => each.map((one) => (one instanceof Uint8Array ? ["bytes", ...one] : one === 0 ? 0 : one)));

test("rows reach the writer as they were", () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 8 }), (writes) => {
      const before = read(writes);
      assert.deepEqual(read(unpacked(packed(writes))), before);
      assert.deepEqual(read(writes), before);
    }),
    { seed: 6, numRuns: 500 },
  );
});

test("more than a message takes goes in several, each row whole in one of them", () => {
  const text = "x".repeat(limits.store.messageCharsMax / 2);
  for (const long of [text, Buffer.from(text)]) {
    const rows: Row[] = ["a", "b", "c", "d", "e"].map((name) => ["meta.set", name, long]);
    const names: unknown[][] = [];
    for (let from = 0; from < rows.length;) {
      const { to, ...message } = packed(rows, from);
      names.push(unpacked(message).map(([, name]) => name));
      assert.ok(to > from);
      from = to;
    }
    assert.deepEqual(names, [["a", "b"], ["c", "d"], ["e"]]);
  }
});

test("what is not whole is no row", () => {
  const { codes, text, bytes } = packed([["meta.set", "a", Buffer.of(1, 2)]]);
  assert.throws(() => unpacked({ codes, text, bytes: bytes.slice(1) }), /packed rows are whole/);
  assert.throws(() => unpacked({ codes, text: `${text}b`, bytes }), /packed rows are whole/);
});
