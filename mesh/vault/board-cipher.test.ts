import assert from "node:assert/strict";
import { createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import { Secret } from "../../lib/redact.ts";
import { boardCipher } from "./board-cipher.ts";

const key = (fill: number) => ({ lasting: new Secret(new Uint8Array(96).fill(fill)) });
const at = { key: "a/b", version: 3 };

test("a value opens where it was sealed, and nothing of it is readable; the same value never looks the same", () => {
  const cipher = boardCipher(key(1), randomBytes);
  for (const value of [
    "",
    "canary-value",
    "ключ \u{1f511} \0",
    "s2:not sealed",
    "x".repeat(65_536),
    "\u{1f511}".repeat(40_000),
  ]) {
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
  const flipped = (at: number): string =>
    `s2:${Buffer.from(bytes.map((byte, n) => (n === at ? byte ^ 1 : byte))).toString("base64")}`;
  for (const [text, place] of [
    [sealed, { key: "a/b", version: 4 }],
    [sealed, { key: "a/c", version: 3 }],
    [boardCipher(key(2), randomBytes).seal("value", at), at],
    ...[0, 12, 16, bytes.length - 1].map((n) => [flipped(n), at] as const),
    [`s2:${bytes.subarray(0, 20).toString("base64")}`, at],
    [`s2:${bytes.subarray(0, -1).toString("base64")}`, at],
    [`s1:${bytes.toString("base64")}`, at],
    ["s2:", at],
    ["s1:", at],
    ["value", at],
  ] as const)
    assert.throws(() => cipher.open(text, place));
});

test("what an earlier version has sealed opens at its place, and there only", () => {
  const cipher = boardCipher(key(1), randomBytes);
  const sealed = "s1:FcjARgrHv4JtKLwzNeCQv07JHNJVQG8vsM7NPhlyTnsmJCKWJ/NhniA=";
  assert.equal(cipher.open(sealed, at), "sealed before");
  assert.throws(() => cipher.open(sealed, { ...at, version: 4 }));
  assert.throws(() => cipher.open(sealed.replace("F", "G"), at));
});

test("the form is AES-256-CTR, then HMAC-SHA-256, as the library has them", () => {
  const cipher = boardCipher(key(1), randomBytes);
  const keys = Buffer.from(hkdfSync("sha256", Buffer.alloc(96, 1), Buffer.alloc(0), "cordon/board/2", 64));
  for (const value of ["", "value", "x".repeat(300), "ключ".repeat(50_000)]) {
    const box = Buffer.from(cipher.seal(value, at).slice(3), "base64");
    const [counter, body, tag] = [box.subarray(0, 16), box.subarray(16, -16), box.subarray(-16)];
    const place = Buffer.from(`board/${at.version}/${at.key}`);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(place.length);
    const hmac = createHmac("sha256", keys.subarray(32)).update(Buffer.concat([length, place, counter, body]));
    assert.deepEqual(tag, hmac.digest().subarray(0, 16));
    const plain = createDecipheriv("aes-256-ctr", keys.subarray(0, 32), counter).update(body);
    assert.equal(plain.toString(), value);
  }
});

test("no block of the keystream serves twice, also beyond what is drawn at once", () => {
  const cipher = boardCipher(key(1), randomBytes);
  const blocks = new Set<string>();
  let count = 0;
  for (const [n, chars] of [0, 1, 15, 16, 17, 200, 5_000, 65_520, 65_536, 65_537, 3, 0, 100_000, 40].entries()) {
    for (let time = 0; time < 20; time++) {
      const box = Buffer.from(cipher.seal("x".repeat(chars), { key: "k", version: n + 1 }).slice(3), "base64");
      const first = box.readUInt32BE(12);
      for (let block = 0; block < Math.max(1, Math.ceil(chars / 16)); block++) {
        blocks.add(`${box.toString("hex", 0, 12)} ${first + block}`);
        count++;
      }
    }
  }
  assert.equal(blocks.size, count);
});
