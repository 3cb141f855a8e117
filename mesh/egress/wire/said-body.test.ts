import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseJson, parseJsonText, type Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import { anthropicFormat } from "./anthropic.ts";
import type { WireFormat } from "./format.ts";
import { openaiFormat } from "./openai.ts";
import { withMembers, type SaidBody } from "./said-body.ts";

function said(text: string): SaidBody {
  const bytes = Buffer.from(text);
  const read = parseJsonText(bytes, limits.door.jsonDepthMax);
  assert.ok(read.ok, read.ok ? "" : read.error);
  return { ...read.value, bytes };
}

const changed = (text: string, values: Parameters<typeof withMembers>[1]): string =>
  withMembers(said(text), values).toString();

test("values of outermost names are exchanged, and nothing else of what was written", () => {
  const text = `{ "a" : "a, \\"model\\":1}" ,"model":  "x/y" , "b":{"model":"inner"},"\\u006e": [1, 2]\n}`;
  assert.equal(
    changed(text, { model: "y", n: 7 }),
    `{ "a" : "a, \\"model\\":1}" ,"model":"y"     , "b":{"model":"inner"},"\\u006e":7       }`,
  );
  assert.equal(
    changed(text, { model: "much/longer", n: 7 }),
    text.replace('  "x/y" ', '"much/longer"').replace(" [1, 2]\n", "7"),
  );
});

test("what is not there is put before the rest; what has no value stays", () => {
  assert.equal(changed(`{"a":1}`, { max: 5, a: undefined, o: { yes: true } }), `{"max":5,"o":{"yes":true},"a":1}`);
});

test("long bodies, also of other characters than ASCII, are put together alike", () => {
  for (const filler of ["x", "ü", "語", "😀"]) {
    const long = filler.repeat(20_000);
    assert.equal(
      changed(`{"p":"${long}","model":"m","q":"${long}"}`, { model: "other", n: 2 }),
      `{"n":2,"p":"${long}","model":"other","q":"${long}"}`,
    );
  }
});

/** JSON as somebody could write it: white space anywhere, and names with escapes. */
function written(value: Json, dice: () => number): string {
  const gap = (): string => ["", "", "", " ", "\n\t", "\r\n  "][dice() % 6] ?? "";
  const name = (text: string): string =>
    `"${[...text].map((char) => (dice() % 4 === 0 ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : JSON.stringify(char).slice(1, -1))).join("")}"`;
  if (value === null || typeof value !== "object") return `${gap()}${JSON.stringify(value)}${gap()}`;
  const parts = Array.isArray(value)
    ? value.map((item) => written(item as Json, dice))
    : Object.entries(value).map(([key, item]) => `${gap()}${name(key)}${gap()}:${written(item, dice)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${gap()}${open}${parts.length === 0 ? gap() : parts.join(",")}${close}${gap()}`;
}

const text = fc.string({ unit: "grapheme", maxLength: 30 });
const messages = fc.array(fc.record({ role: fc.constantFrom("user", "assistant"), content: text }), {
  minLength: 1,
  maxLength: 4,
});
const optional = { temperature: fc.double({ min: 0, max: 2, noNaN: true }), stream: fc.boolean() };
const chat = fc.record(
  {
    model: fc.constantFrom("own/m", "own/long-name"),
    messages,
    ...{ n: fc.integer({ min: 1, max: 4 }), max_tokens: fc.integer({ min: 1, max: 900 }), user: text },
    ...{ stream_options: fc.record({ include_usage: fc.boolean() }), tools: fc.constant([]), ...optional },
  },
  { requiredKeys: ["model", "messages"] },
);
const message = fc.record(
  { model: fc.constant("own/m"), messages, max_tokens: fc.integer({ min: 1, max: 900 }), system: text, ...optional },
  { requiredKeys: ["model", "messages", "max_tokens"] },
);

/** What goes out of a call that is sent in its own words, and of the same one written anew. */
function both(format: WireFormat, own: string, provider: string) {
  const body = said(own);
  const [kept, anew] = [body, undefined].map((words) => {
    const parsed = format.parse(body.value, body.bytes.length, undefined, words);
    assert.ok(parsed.ok);
    return parsed.value.body("the-model", 77, provider);
  });
  const read = parseJson(kept ?? Buffer.alloc(0), limits.door.jsonDepthMax);
  assert.ok(read.ok, "what goes out has one reading");
  return { kept: read.value, anew: JSON.parse(String(anew)) as Json };
}

for (const [format, calls] of [
  [openaiFormat, chat],
  [anthropicFormat, message],
] as const)
  test(`${format.name}: in its own words a call says what it says when it is written anew`, () => {
    const call = fc.tuple(calls as fc.Arbitrary<Json>, fc.infiniteStream(fc.nat(23)), fc.constantFrom("own", "openai"));
    fc.assert(
      fc.property(call, ([value, numbers, provider]) => {
        const { kept, anew } = both(
          format,
          written(value, () => numbers.next().value as number),
          provider,
        );
        assert.deepEqual(kept, anew);
      }),
      { seed: 11, numRuns: 400 },
    );
  });

test("a body that was changed in its place is told anew for the way after, and what was sent stays", () => {
  for (const filler of ["x", "x".repeat(20_000)]) {
    const body = said(`{"p":"${filler}","model":"provider/one","n":10}`);
    const first = withMembers(body, { model: "one", n: 5 });
    assert.equal(first, body.bytes, "nothing was copied");
    const sent = first.toString();
    assert.deepEqual(JSON.parse(sent), { p: filler, model: "one", n: 5 });
    const second = withMembers(body, { model: "another", n: 6 });
    assert.deepEqual(JSON.parse(second.toString()), { p: filler, model: "another", n: 6 });
    assert.equal(first.toString(), sent);
    // Also a provider that is asked after a crash knows the call by its bytes.
    assert.equal(withMembers(body, { model: "one", n: 5 }).toString(), sent);
  }
});
