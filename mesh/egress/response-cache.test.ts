import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { ResponseCache, type CacheRule } from "./response-cache.ts";

const RULE: CacheRule = { scope: "team:t", ttlMs: 1_000, nondeterministic: false };
const { cachedAnswerBytesMax, cacheBytesMax } = limits.model;

function world() {
  let nowMs = 0;
  const clock = { nowMs: () => 1e12 + nowMs, monotonicMs: () => nowMs, sleep: () => Promise.reject(new Error("no")) };
  const cache = new ResponseCache(clock);
  const put = (key: string, bytes = 10): void =>
    cache.put(key, RULE, { agent: "a", model: "p/m", headers: {}, pieces: [Buffer.alloc(bytes, key)] });
  return { cache, put, pass: (ms: number) => (nowMs += ms) };
}

test("an answer is there for its time, and no longer", () => {
  const { cache, put, pass } = world();
  put("x");
  pass(999);
  assert.equal(cache.get("x")?.pieces[0]?.toString(), "xxxxxxxxxx");
  pass(1);
  assert.equal(cache.get("x"), undefined, "to be read does not make it last");
  assert.equal(cache.get("y"), undefined);
});

test("what is larger than the bound is not kept; of all together what was not used for longest goes first", () => {
  const { cache, put } = world();
  put("huge", cachedAnswerBytesMax);
  assert.equal(cache.get("huge"), undefined);
  const each = cachedAnswerBytesMax - 1_024;
  const fit = cacheBytesMax / cachedAnswerBytesMax;
  for (let i = 0; i < fit; i++) put(`k${i}`, each);
  assert.ok(cache.get("k0"), "and now it is the newest");
  put("more", each);
  assert.equal(cache.get("k1"), undefined);
  assert.ok(cache.get("k0") && cache.get("k2") && cache.get("more"));
  // The same key again takes no further room.
  for (let i = 0; i < 10; i++) put("more", each);
  assert.ok(cache.get("k2"));
});

test("the key is the scope, what decides the answer, and the body in any order of its names", () => {
  const key = (scope: string, about: string, body: object): string =>
    ResponseCache.keyOf({ ...RULE, scope }, [about], body as never);
  const same = key("agent:a", "openai.chat", { a: 1, b: 2 });
  assert.equal(key("agent:a", "openai.chat", { b: 2, a: 1 }), same);
  for (const other of [
    key("agent:b", "openai.chat", { a: 1, b: 2 }),
    key("agent:a", "anthropic.messages", { a: 1, b: 2 }),
    key("agent:a", "openai.chat", { a: 1, b: 3 }),
    key("agent:a", "openai.chat", { a: 1 }),
  ])
    assert.notEqual(other, same);
});
