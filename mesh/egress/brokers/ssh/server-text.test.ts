import assert from "node:assert/strict";
import { test } from "node:test";
import { cleaned } from "./server-text.ts";

test("what a server says keeps its text, and loses what plays tricks", () => {
  for (const text of ["remote: größer\n", "a\tb\r\n", "日本語\n", "مرحبا\n"])
    assert.equal(cleaned(Buffer.from(text)), text);
  assert.equal(cleaned(Buffer.from("\u001b[2J\u001b]0;x\u0007")), "?[2J?]0;x?");
  assert.equal(cleaned(Buffer.from("a\u202eb\u200bc\u{e0041}d\u009b")), "a?b?c?d?");
  assert.equal(cleaned(Buffer.of(0x61, 0xff, 0x62)), "a?b");
  assert.equal(cleaned(Buffer.from("50%\r100%\r\nfatal: no\roverwritten")), "50%\n100%\r\nfatal: no\noverwritten");
});
