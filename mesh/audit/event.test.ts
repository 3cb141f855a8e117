import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalJson, type Json } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import { Utf8Text } from "../store/utf8-text.ts";
import { Secret } from "../../lib/redact.ts";
import { sharedDetail, writeEvent } from "./event.ts";

type Detail = { readonly [key: string]: Json };

function textOf(detail: Detail, kind = "decision"): string {
  const out = new Utf8Text(8);
  writeEvent(out, { kind, subject: "mesh", detail });
  const text = out.view().toString();
  const before = ` ${kind} mesh `;
  assert.equal(text.slice(0, before.length), before);
  return text.slice(before.length);
}
const name = fc.oneof(
  fc.constantFrom("hold", "tokens", "a", "b", "a\nb", "b\nc", "c", ""),
  fc.string({ maxLength: 6 }),
);
const value = fc.oneof(
  ...[fc.string({ unit: "binary", maxLength: 8 }), fc.boolean(), fc.constant(null), fc.double({ noNaN: true })],
  fc.constantFrom(0, -0, 1e21, 1e-7, "\ud800", '"'),
  fc.jsonValue({ maxDepth: 2 }),
);

test("a detail is written as canonical JSON is, whatever its names and however often they come", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (fields) => {
      // What JSON has no form for is refused, so it is no detail.
      const detail = Object.fromEntries(
        fields.filter(([key, field]) => key !== "__proto__" && field !== Infinity && field !== -Infinity),
      ) as Detail;
      assert.equal(textOf(detail), canonicalJson(detail));
    }),
    { seed: 6, numRuns: 2_000 },
  );
});

test("names that hold a separator are not taken for others", () => {
  const fields: Detail = { "a\nb": 1, c: 2 };
  const others: Detail = { a: 1, "b\nc": 2 };
  for (const detail of [fields, others, { a: 1, b: 2, c: 3 }]) assert.equal(textOf(detail), canonicalJson(detail));
});

test("a record of the same kind that says more, less or something else is written whole", () => {
  for (const detail of [{ a: 1 }, { a: 1, b: 2 }, { b: 2, a: 1 }, { b: 2 }, { a: 1, c: 3 }, {}, { a: 1 }])
    assert.equal(textOf(detail, "with.other.names"), canonicalJson(detail));
});

test("what is not plain JSON is a fault, at the top and below", () => {
  const own: unknown = Object.create({ inherited: 1 });
  for (const broken of [new Secret(Buffer.from("x")), own, Number.NaN, Infinity, undefined, 1n, new Date(0)]) {
    assert.throws(() => textOf({ broken } as unknown as Detail), /an audit detail/);
    assert.throws(() => textOf({ list: [broken] } as unknown as Detail), /an audit detail/);
  }
  for (const broken of [new Secret(Buffer.from("x")), own])
    assert.throws(() => textOf(broken as Detail), /an audit detail/);
});

test("a detail is as small in bytes as it must be, whatever its characters are", () => {
  const { detailBytesMax } = limits.audit;
  for (const char of ["x", "€"]) {
    const room = Math.floor((detailBytesMax - '{"a":""}'.length) / Buffer.byteLength(char));
    assert.ok(textOf({ a: char.repeat(room) }));
    assert.throws(() => textOf({ a: char.repeat(room + 1) }), /an audit detail is small/);
  }
});

test("a part that details share is written as canonical JSON, and cannot be changed or be anything else", () => {
  const label = sharedDetail({ b: ["x", { d: 1, c: null }], a: 'say "so"' });
  const detail = { label, other: { b: ["x", { d: 1, c: null }], a: 'say "so"' }, n: 1 };
  for (let n = 0; n < 2; n++) assert.equal(textOf(detail), canonicalJson(detail));
  assert.throws(() => ((label.b[1] as { d: number }).d = 2), TypeError);
  assert.throws(() => label.b.push("y"), TypeError);
  for (const broken of [{ a: new Secret(Buffer.from("x")) }, { a: Number.NaN }, { a: { b: undefined } }])
    assert.throws(() => sharedDetail(broken), /an audit detail/);
});
