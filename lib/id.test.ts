import assert from "node:assert/strict";
import { test } from "node:test";
import { randomId } from "./id.ts";

test("an id is its prefix and 26 characters that look alike in no hand", () => {
  const ids = Array.from({ length: 2_000 }, () => randomId.next("msg"));
  for (const id of ids) assert.match(id, /^msg_[a-km-z2-9]{26}$/);
  assert.equal(new Set(ids).size, ids.length);
});

test("every character of the alphabet comes at every place: no bits are lost", () => {
  const seen = Array.from({ length: 26 }, () => new Set<string>());
  for (let i = 0; i < 2_000; i++) [...randomId.next("a").slice(2)].forEach((char, at) => seen[at]?.add(char));
  assert.deepEqual(
    seen.map((chars) => chars.size),
    new Array(26).fill(32),
  );
});
