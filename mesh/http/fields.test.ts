import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fieldLine, HEAD_END, headEnd, lengthOf } from "./fields.ts";

test("the end of a head is the first there is, and no later than it may be", () => {
  const text = fc.string({ unit: fc.constantFrom("\r", "\n", "\r\n", "a"), maxLength: 24 });
  let found = 0;
  fc.assert(
    fc.property(text, fc.nat(20), fc.nat(6), (said, most, from) => {
      const at = Buffer.from(said).indexOf(HEAD_END, from);
      if (at >= 0) found++;
      assert.equal(headEnd(Buffer.from(said), most, from), at - from > most ? -1 : at);
    }),
    { seed: 8, numRuns: 5_000 },
  );
  assert.ok(found > 500, `${found} ends`);
  assert.equal(headEnd(Buffer.from(`abc${HEAD_END}`), 3), 3);
  assert.equal(headEnd(Buffer.from(`abc${HEAD_END}`), 2), -1);
});

test("a length is what everybody reads in the same way", () => {
  for (const text of ["0", "7", "10", "65536", "123456789012345", "9".repeat(15)])
    assert.equal(lengthOf(text), Number(text));
  for (const text of ["", "00", "01", "+1", "-1", "1.0", "1e3", "0x1", " 1", "1 ", "1,1", "\u0661", "9".repeat(16)])
    assert.equal(lengthOf(text), undefined, text);
});

test("a field line is one line, for everybody", () => {
  assert.equal(fieldLine("x-a", "b\tc \u00e9~"), "x-a: b\tc \u00e9~\r\n");
  assert.equal(fieldLine("x-a", 12), "x-a: 12\r\n");
  for (let code = 0; code < 0x120; code++) {
    const isBad = (code < 0x20 && code !== 0x09) || code === 0x7f || code > 0xff;
    for (const text of [String.fromCharCode(code), `a${String.fromCharCode(code)}`, `${String.fromCharCode(code)}a`])
      if (isBad) assert.throws(() => fieldLine("x-a", text), { code: "ERR_INVALID_CHAR" }, `${code}`);
      else assert.equal(fieldLine("x-a", text), `x-a: ${text}\r\n`);
  }
  for (const name of ["", "x a", "x:", "x\r\n", "\u00e9"]) assert.throws(() => fieldLine(name, "a"));
});
