import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { printable, printableLine, shorten } from "./text.ts";

test("what moves a cursor or turns text around becomes visible", () => {
  assert.equal(printable("\u001b[2J\u009bA\r\u0007\u007f"), "\\u{1b}[2J\\u{9b}A\\u{d}\\u{7}\\u{7f}");
  assert.equal(printable("a\u202eb\u2066c\u200f"), "a\\u{202e}b\\u{2066}c\\u{200f}");
});

test("what nobody sees becomes visible, and so does what begins a line", () => {
  assert.equal(
    printable("pay\u2060 al\u{e0041}ice\u061c\u2028ok\ufeff"),
    "pay\\u{2060} al\\u{e0041}ice\\u{61c}\\u{2028}ok\\u{feff}",
  );
  assert.equal(printableLine("done\n12:00\tok"), "done\\u{a}12:00\\u{9}ok");
  // England's flag is spelled with tags.
  const flag = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
  assert.equal(printable(flag), flag);
});

test("lines, tabs and letters of every script stay", () => {
  const text = "tab\tline\n äß Ελλ עברית العربية हिन्दी 日本語 می‌خواهم ❤️ 👩‍👩‍👧";
  assert.equal(printable(text), text);
});

test("nothing that is printed holds a control but tab and line feed", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
      // eslint-disable-next-line no-control-regex -- control characters are the subject here
      assert.doesNotMatch(printable(text), /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    }),
    { seed: 6, numRuns: 1_000 },
  );
});

test("shortening keeps whole characters and says that it happened", () => {
  assert.equal(shorten("abcdef", 6), "abcdef");
  assert.equal(shorten("abcdefg", 6), "abcde…");
  assert.equal(shorten("abc😀😀", 5), "abc…");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), fc.integer({ min: 2, max: 20 }), (text, max) => {
      const short = shorten(text, max);
      assert.ok(short.length <= max && short.isWellFormed());
      assert.ok(short === text || (short.endsWith("…") && text.startsWith(short.slice(0, -1))));
    }),
    { seed: 7 },
  );
});
