import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { BoardKey } from "../../../protocol/names.ts";
import { limits } from "../../../protocol/limits.ts";
import { digestOf } from "./digest.ts";
import { noteOf } from "./note.ts";
import { slug } from "./slug.ts";

const note = (title: string): { key: string; value: string } => ({
  key: "digest/notes/a.md",
  value: `# ${title}\n\nSource: a.md, 90 words\n\n- First point.\n- Second point.\n- Third point.\n- Fourth point.\n\nNames: Ann\n`,
});

test("a digest, to the letter", () => {
  assert.equal(
    digestOf([note("Tides")], 10_000),
    "# Digest of 1 text\n\n1. Tides (a.md, 90 words)\n\n## 1. Tides\n\nSource: a.md, 90 words\n\n- First point.\n- Second point.\n- Third point.\n- Fourth point.\n\n" +
      "**Names:** Ann  \n\n---\n\nComposed by the rehearsal model: sentences chosen from the texts by a script, word for word. No language model took part.\n",
  );
});

test("notes of any other hand are taken as they are", () => {
  const digest = digestOf([{ key: "digest/notes/free", value: "Just a line.\n\n* and a point\n" }], 10_000);
  assert.match(digest, /## 1\. free\n\nSource: free\n\n- Just a line\.\n- and a point\n/);
});

test("less room gives fewer points, then no facts, then titles, and says so", () => {
  const notes = Array.from({ length: 20 }, (_, i) => note(`Title ${i}`));
  const full = Buffer.byteLength(JSON.stringify(digestOf(notes, Infinity)));
  const levels = new Set<string>();
  for (let bytesMax = full; bytesMax > full / 4; bytesMax -= 20) {
    const digest = digestOf(notes, bytesMax);
    if (levels.size < 5) levels.add(digest);
    assert.ok(Buffer.byteLength(JSON.stringify(digest)) <= bytesMax || levels.size === 5);
    assert.equal(digest.includes("Shortened to fit"), bytesMax < full);
    assert.ok(notes.every((_, i) => digest.includes(`Title ${i}`)));
  }
  assert.equal(levels.size, 5);
});

test("a note names what was left out, and is remembered only for the same text", () => {
  const long = "The river is wide and its water is cold today. ".repeat(3_000);
  assert.ok(long.length > limits.rehearsal.extractCharsMax);
  assert.match(noteOf(long, "long.txt"), /words in the part that was read/);
  assert.match(noteOf("", "empty.txt"), /^# empty\.txt\n\nSource: empty\.txt, 0 words\n\n- \(no sentences/);
  assert.notEqual(
    noteOf("One sentence that is long enough.", "a"),
    noteOf("Another sentence that is long enough.", "a"),
  );
  assert.notEqual(noteOf("One sentence that is long enough.", "a"), noteOf("One sentence that is long enough.", "b"));
});

test("a note fits a board entry, whatever the text (property)", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 3_000 }), fc.string({ maxLength: 100 }), (text, path) => {
      assert.ok(Buffer.byteLength(noteOf(text.repeat(8), path)) <= limits.board.valueBytesMax);
    }),
    { seed: 20_261_122, numRuns: 100 },
  );
});

test("slugs are board keys, and different paths have different ones (property)", () => {
  assert.equal(slug("tides.md"), "tides.md");
  assert.match(slug("Über uns/A b.txt"), /^ber-uns-a-b\.txt-[0-9a-f]{8}$/);
  assert.notEqual(slug("a/b.md"), slug("a b.md"));
  assert.notEqual(slug("A.md"), slug("a.md"));
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 100 }),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 100 }),
      (a, b) => {
        assert.ok(BoardKey.safeParse(`digest/notes/${slug(a)}`).success, slug(a));
        if (a !== b) assert.notEqual(slug(a), slug(b));
      },
    ),
    { seed: 20_261_122, numRuns: 500 },
  );
});
