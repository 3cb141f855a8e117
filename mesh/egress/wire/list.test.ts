import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import type { Json } from "../../../lib/json.ts";
import type { WireName } from "./format.ts";
import { wireFormats } from "./formats.ts";
import { listOf } from "./list.ts";

/** Which of its items was looked at; none of them is anything that a format knows. */
function watched(): { readonly items: Json; readonly seen: ReadonlySet<number> } {
  const seen = new Set<number>();
  const item = (at: number): object => {
    const look = (): undefined => void seen.add(at);
    const own = { get: look, has: () => (look(), false), ownKeys: () => (look(), []) };
    return new Proxy({}, { ...own, getPrototypeOf: () => (look(), Object.prototype) });
  };
  return { items: [item(0), item(1), item(2)] as unknown as Json, seen };
}

const message = (content: Json): Json => ({ model: "m", max_tokens: 10, messages: [{ role: "user", content }] });
const places: readonly (readonly [WireName, string, (items: Json) => Json])[] = [
  ["openai.chat", "messages", (messages) => ({ model: "m", messages })],
  ["openai.chat", "parts", message],
  ["openai.chat", "tools", (tools) => ({ ...(message("x") as object), tools })],
  ["openai.responses", "input", (input) => ({ model: "m", input })],
  ["openai.responses", "parts", (output) => ({ model: "m", input: [{ type: "function_call_output", output }] })],
  ["openai.responses", "tools", (tools) => ({ model: "m", input: "x", tools })],
  ["openai.embeddings", "input", (input) => ({ model: "m", input })],
  ["anthropic.messages", "messages", (messages) => ({ model: "m", max_tokens: 10, messages })],
  ["anthropic.messages", "blocks", message],
  ["anthropic.messages", "system", (system) => ({ ...(message("x") as object), system })],
  ["anthropic.messages", "tools", (tools) => ({ ...(message("x") as object), tools })],
  ["anthropic.count", "messages", (messages) => ({ model: "m", messages })],
  ["gemini.generate", "contents", (contents) => ({ contents })],
  ["gemini.generate", "parts", (parts) => ({ contents: [{ parts }] })],
  ["gemini.generate", "tools", (tools) => ({ contents: [{ parts: [{ text: "x" }] }], tools })],
  ["gemini.embed", "requests", (requests) => ({ requests })],
];

test("of a list with a fault nothing is read after it, in whatever place of a call it stands", () => {
  for (const [name, place, bodyOf] of places) {
    const { items, seen } = watched();
    const read = wireFormats[name].parse(bodyOf(items), 100, { model: "m", stream: false });
    assert.equal(read.ok, false, `${name}: ${place}`);
    assert.deepEqual([...seen], [0], `${name}: ${place}`);
  }
});

test("a fault is told with its place, a list without one is what its items are", () => {
  const list = z.strictObject({ all: listOf(z.strictObject({ n: z.int() }), 3, 1) });
  assert.deepEqual(list.parse({ all: [{ n: 1 }, { n: 2 }] }), { all: [{ n: 1 }, { n: 2 }] });
  const issuesOf = (all: unknown) => list.safeParse({ all }).error?.issues.map(({ code, path }) => [code, path]);
  assert.deepEqual(issuesOf([{ n: 1 }, { n: "2" }, { n: "3" }]), [["invalid_type", ["all", 1, "n"]]]);
  assert.deepEqual(issuesOf([{ n: 1 }, { n: 2, m: 3 }]), [["unrecognized_keys", ["all", 1]]]);
  assert.deepEqual(issuesOf([]), [["too_small", ["all"]]]);
  assert.deepEqual(issuesOf([1, 2, 3, 4]), [["too_big", ["all"]]]);
  assert.deepEqual(issuesOf({ 0: { n: 1 }, length: 1 }), [["invalid_type", ["all"]]]);
});
