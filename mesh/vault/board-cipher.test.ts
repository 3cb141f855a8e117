import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { Secret } from "../../lib/redact.ts";
import { boardCipher } from "./board-cipher.ts";

const key = (fill: number) => ({ lasting: new Secret(new Uint8Array(96).fill(fill)) });
const at = { key: "a/b", version: 3 };

test("a value opens where it was sealed, and nothing of it is readable; the same value never looks the same", () => {
  const cipher = boardCipher(key(1), randomBytes);
  for (const value of ["", "canary-value", "ключ \u{1f511} \0", "s1:not sealed", "x".repeat(65_536)]) {
    const sealed = cipher.seal(value, at);
    assert.equal(cipher.open(sealed, at), value);
    assert.notEqual(cipher.seal(value, at), sealed);
    if (value.length > 4) {
      const bytes = Buffer.from(sealed.slice(3), "base64").toString("latin1");
      assert.ok(!sealed.includes(value) && !bytes.includes(value));
    }
  }
});

test("what was moved, changed, cut short, sealed by another key or never sealed does not open", () => {
  const cipher = boardCipher(key(1), randomBytes);
  const sealed = cipher.seal("value", at);
  const bytes = Buffer.from(sealed.slice(3), "base64");
  const flipped = bytes.map((byte, n) => (n === bytes.length - 1 ? byte ^ 1 : byte));
  for (const [text, place] of [
    [sealed, { key: "a/b", version: 4 }],
    [sealed, { key: "a/c", version: 3 }],
    [boardCipher(key(2), randomBytes).seal("value", at), at],
    [`s1:${Buffer.from(flipped).toString("base64")}`, at],
    [`s1:${bytes.subarray(0, 20).toString("base64")}`, at],
    ["s1:", at],
    ["value", at],
  ] as const)
    assert.throws(() => cipher.open(text, place));
});

test("no nonce is used twice, also beyond what is drawn at once", () => {
  let counter = 0;
  // Bytes that tell where they were drawn: four to a number.
  const random = (bytes: number): Buffer => {
    const drawn = Buffer.alloc(bytes);
    for (let at = 0; at < bytes; at += 4) drawn.writeUInt32BE(counter++, at);
    return drawn;
  };
  const cipher = boardCipher(key(1), random);
  const words = Array.from({ length: 500 }, (_, n) => {
    const bytes = Buffer.from(cipher.seal("value", { key: "k", version: n + 1 }).slice("s1:".length), "base64");
    return [0, 4, 8].map((offset) => bytes.readUInt32BE(offset));
  }).flat();
  assert.equal(new Set(words).size, 3 * 500);
});
