import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../../lib/redact.ts";
import { cursorCipher } from "./cursor-cipher.ts";

const key = (fill: number) => ({ lasting: new Secret(new Uint8Array(96).fill(fill)) });

test("a cursor opens for the watch that it was made for, also after a restart; numbers next to each other look unlike", () => {
  const cipher = cursorCipher(key(1));
  const seen = new Set<string>();
  for (const seq of [0, 1, 2, 3, 1_000_000, Number.MAX_SAFE_INTEGER]) {
    const cursor = cipher.seal(seq, "w");
    assert.match(cursor, /^[\w-]{22}$/);
    assert.equal(cipher.seal(seq, "w"), cursor);
    assert.equal(cursorCipher(key(1)).open(cursor, "w"), seq);
    seen.add(cursor.slice(0, 8)).add(cursor.slice(-8));
  }
  assert.equal(seen.size, 12);
});

test("what is of another watch, of another key, changed, made up or a number does not open", () => {
  const cipher = cursorCipher(key(1));
  const cursor = cipher.seal(7, "w");
  assert.equal(cipher.open(cursor, "v"), undefined);
  assert.equal(cursorCipher(key(2)).open(cursor, "w"), undefined);
  const bytes = Buffer.from(cursor, "base64url");
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.map((byte, n) => (n === at ? byte ^ 1 : byte));
    assert.equal(cipher.open(Buffer.from(changed).toString("base64url"), "w"), undefined);
  }
  for (const text of ["", "7", `${cursor}=`, ` ${cursor}`, cursor.slice(1), `${cursor}A`, "A".repeat(22)])
    assert.equal(cipher.open(text, "w"), undefined, text);
});
