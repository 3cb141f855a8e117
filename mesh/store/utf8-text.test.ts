import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Utf8Text } from "./utf8-text.ts";

const word = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.string({ maxLength: 80 }),
  fc.constantFrom("", '"', "\\", "\u0000", "\ud800", "a\udfffb", "é", "€😀", "x".repeat(64), "x".repeat(65)),
);
const number = fc.oneof(
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 9, 10, 999_999_999, 1e9, 10_000_000_007, Number.MAX_SAFE_INTEGER, 1e21, 1e-7, -1, -1e9),
);
const piece = fc.oneof(
  word.map((value) => ["text", value, value] as const),
  word.map((value) => ["json", value, JSON.stringify(value)] as const),
  number.map((value) => ["number", value, JSON.stringify(value)] as const),
);

test("what is written piece by piece is the UTF-8 of the whole, however small its memory was", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const out = new Utf8Text(1);
      out.text("forgotten");
      out.cut(0);
      for (const [form, value] of pieces) {
        if (form === "number") out.number(value);
        else out[form](value);
      }
      assert.deepEqual(out.view(), Buffer.concat(pieces.map(([, , text]) => Buffer.from(text))));
    }),
    { seed: 6, numRuns: 1_000 },
  );
});

test("bytes are copied, from another text as well", () => {
  const out = new Utf8Text(1);
  const other = new Utf8Text(1);
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  other.latin1(all.toString("latin1"));
  out.put(all.subarray(0, 3));
  out.putFrom(other, 3);
  out.byte(7);
  assert.deepEqual(out.view(), Buffer.concat([all, Buffer.of(7)]));
  assert.deepEqual(out.view(255), Buffer.of(255, 7));
});
