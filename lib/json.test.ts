import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { canonicalJson, parseJson, parseJsonText, type Json } from "./json.ts";

const parse = (text: string, depthMax = 32) => parseJson(Buffer.from(text), depthMax);
const fault = (text: string, depthMax?: number): string => {
  const parsed = parse(text, depthMax);
  return parsed.ok ? "accepted" : parsed.error;
};

test("the same name twice in one object is refused, however it is spelled", () => {
  for (const text of [
    `{"a":1,"a":2}`,
    `{"a":1,"\\u0061":2}`,
    `{"x":[{"k":{},"\\u006b":1}]}`,
    `{"/":1,"\\/":2}`,
    `{"a":{"a":1},"b":[1,2],"a":3}`,
    `{"":1,"":2}`,
  ]) {
    assert.equal(fault(text), "an object has the same name twice", text);
  }
});

test("among many names, too, each stands once", () => {
  for (const count of [2, 8, 9, 10, 40]) {
    const names = Array.from({ length: count }, (_, n) => `n${n}`);
    const text = (all: readonly string[]): string => `{${all.map((name) => `"${name}":1`).join()}}`;
    assert.ok(parseJson(Buffer.from(text(names)), 8).ok);
    for (const again of names) assert.equal(fault(text([...names, again])), "an object has the same name twice", again);
  }
});

test("the same name in two objects, or as a value, is not twice", () => {
  for (const text of [
    `{"a":{"a":1},"b":{"a":2}}`,
    `[{"a":1},{"a":1}]`,
    `{"a":"a","b":["a","a"]}`,
    `{"a":"{\\"b\\":1,\\"b\\":2}"}`,
  ]) {
    assert.deepEqual(parse(text), { ok: true, value: JSON.parse(text) });
  }
});

test("the name __proto__ is refused in every spelling and depth; as a value it is text", () => {
  for (const text of [`{"__proto__":1}`, `[{"a":{"__proto__":{}}}]`, `{"\\u005f_proto__":1}`]) {
    assert.equal(fault(text), "the name `__proto__` is refused");
  }
  assert.equal(fault(`["__proto__"]`), "accepted");
});

test("depth is counted in levels of objects and lists together, not in brackets inside of text", () => {
  assert.equal(fault(`[[{"a":[]}]]`, 4), "accepted");
  assert.equal(fault(`[[{"a":[]}]]`, 3), "nested deeper than 3 levels");
  assert.equal(fault(`["[[[[[","{{{{"]`, 1), "accepted");
  assert.equal(fault(`[[],[],[],[]]`, 2), "accepted");
  assert.equal(fault(`1`, 0), "accepted");
});

test("bytes that are not UTF-8, a byte order mark and what is not JSON are refused", () => {
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0xaf, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0x22, 0xe2, 0x82],
  ]) {
    assert.deepEqual(parseJson(Uint8Array.from(bytes), 8), { ok: false, error: "body is not valid UTF-8" });
  }
  for (const text of ["\ufeff{}", "", "{", "{}{}", "{'a':1}", "[1,]", "NaN", "// x\n{}", "\u00a0{}"]) {
    assert.equal(fault(text), "body is not valid JSON", JSON.stringify(text));
  }
});

test("what it accepts it reads as JSON.parse does", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const parsed = parse(text, 1_000);
      assert.deepEqual(parsed, { ok: true, value: JSON.parse(text) });
    }),
    { seed: 1, numRuns: 500, examples: [[`{"a\\"b":1,"a\\\\":2}`], [`{"a":"\\\\","b":1}`]] },
  );
});

test("it never throws, and refuses whatever JSON.parse refuses", () => {
  const text = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0a1ntrue '), maxLength: 24 });
  fc.assert(
    fc.property(text, (candidate) => {
      const parsed = parse(candidate, 4);
      if (parsed.ok) assert.deepEqual(parsed.value, JSON.parse(candidate));
    }),
    { seed: 2, numRuns: 2_000 },
  );
});

test("written anew, no value is longer than its text, unless a number has an exponent", () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => String(value)),
    fc.stringMatching(/^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?$/),
  );
  const string = fc
    .array(fc.oneof(fc.stringMatching(/^\\u[0-9a-f]{4}$/), fc.constantFrom("\\n", "\\/", "e", "1e9", "é", "😀", " ")))
    .map((parts) => `"${parts.join("")}"`);
  const text = fc.array(fc.oneof(number, string, fc.constantFrom("true", "false", "null")), { maxLength: 6 });
  let grown = 0;
  fc.assert(
    fc.property(text, fc.constantFrom(",", " , "), (items, comma) => {
      const bytes = Buffer.from(`{"a":[${items.join(comma)}]}`);
      const read = parseJsonText(bytes, 8);
      assert.ok(read.ok);
      const anew = Buffer.byteLength(JSON.stringify(read.value.value));
      if (anew > bytes.length) grown++;
      assert.ok(anew <= bytes.length || read.value.exponents, bytes.toString());
    }),
    { seed: 4, numRuns: 3_000 },
  );
  assert.ok(grown > 0, "some did grow");
  const none = parseJsonText(Buffer.from(`{"1e9":"1e9","t":true,"f":[false,null,-1.5]}`), 8);
  assert.ok(none.ok && !none.value.exponents, "words and names are no numbers");
});

const shuffled = (value: Json, order: (names: string[]) => string[]): Json => {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item) => shuffled(item as Json, order));
  const object = value as { readonly [key: string]: Json };
  return Object.fromEntries(order(Object.keys(object)).map((name) => [name, shuffled(object[name]!, order)]));
};

test("canonical JSON does not depend on the order of names, and is JSON of the same value", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.infiniteStream(fc.nat()), (json, numbers) => {
      const value = JSON.parse(JSON.stringify(json)) as Json;
      const order = (names: string[]): string[] =>
        names
          .map((name) => [numbers.next().value, name] as const)
          .sort(([a], [b]) => a - b)
          .map(([, name]) => name);
      assert.equal(canonicalJson(shuffled(value, order)), canonicalJson(value));
      assert.deepEqual(JSON.parse(canonicalJson(value)), value);
    }),
    { seed: 3, numRuns: 500 },
  );
});

test("canonical JSON is pinned: code-unit order, no white space", () => {
  assert.equal(
    canonicalJson({ b: [1, { d: null, c: "é" }], "10": true, "9": false, B: -0.5 }),
    `{"10":true,"9":false,"B":-0.5,"b":[1,{"c":"é","d":null}]}`,
  );
});

/** Of 128 KiB each, the ways to write what takes the most memory. */
const HEAVY: Readonly<Record<string, (n: number) => string>> = {
  "empty objects": () => "{}",
  "empty lists": () => "[]",
  "lists in lists": () => "[[0]]",
  "objects of one shape": () => `{"a":0}`,
  "objects of their own shapes": (n) => `{"${n.toString(36)}":0}`,
  "objects in objects": (n) => `{"${n.toString(36)}":{}}`,
  "names of one object": (n) => `"${n.toString(36)}":0`,
  "long names": (n) => `"${n.toString(36).padStart(20, "_")}":0`,
  "short strings": (n) => `"${n.toString(36)}"`,
  "strings that no other is": (n) => `"${n.toString(36).padStart(11, "_")}"`,
  "strings of two bytes a character": (n) => `"中${n.toString(36)}"`,
  fractions: (n) => `${n}e-3,null`,
  "whole numbers": () => "0",
};

test("the weight of a value is not less than what it takes", async (context) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heapBytes = (): number => {
    collect();
    collect();
    return process.memoryUsage().heapUsed;
  };
  let n = 0;
  const measured = (kind: string, item: (n: number) => string) => {
    const bodies = Array.from({ length: 8 }, () => {
      const items: string[] = [];
      for (let length = 0; length < 128 * 1024; n++) length += items[items.push(item(n)) - 1]?.length ?? 0;
      return Buffer.from(kind.includes("names") ? `{${items.join()}}` : `[${items.join()}]`);
    });
    const before = heapBytes();
    const values = bodies.map((each) => parseJsonText(each, 8));
    const taken = (heapBytes() - before) / values.length;
    const [first] = values;
    assert.ok(first?.ok, kind);
    return { taken: taken + first.value.bytes.length, bytes: first.value.bytes.length, weight: first.value.weight };
  };
  for (const [kind, item] of Object.entries(HEAVY)) {
    // What the one before has left is gone in a turn of its own.
    await new Promise(setImmediate);
    const { taken, bytes, weight } = measured(kind, item);
    context.diagnostic(`${kind}: ${(taken / bytes).toFixed(1)} of ${(weight / bytes).toFixed(1)} for each byte`);
    assert.ok(taken > bytes && taken < 1.05 * weight, `${kind}: ${Math.round(taken)} of ${weight} bytes`);
  }
});
