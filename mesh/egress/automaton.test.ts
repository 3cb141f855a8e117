import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileScrubber, seek, step, type Automaton } from "./automaton.ts";
import { disguisesOf } from "./disguises.ts";

/** Each byte, one after the other. */
function plainly(automaton: Automaton, from: number, input: Uint8Array): { state: number; ends: number[] } {
  let state = from;
  const ends: number[] = [];
  for (const [at, byte] of input.entries()) {
    state = step(automaton, state, byte);
    if ((automaton.match[state] ?? 0) > 0) ends.push(at + 1);
  }
  return { state, ends };
}

function quickly(automaton: Automaton, from: number, input: Uint8Array): { state: number; ends: number[] } {
  const reader = { state: from };
  const ends: number[] = [];
  for (let end = 0; (end = seek(automaton, reader, input, end)) >= 0;) ends.push(end);
  return { state: reader.state, ends };
}

const automata = [
  ["abababababab"],
  ["abcdefgh", "cdefghijklmnop"],
  ["aaaaaaaab", "baaaaaaaa"],
  ["sk-0a1b2c3d4e5f6a7b8"],
  [],
].map((secrets) => ({
  secrets,
  automaton: compileScrubber(
    secrets.map((secret) => Buffer.from(secret)),
    "-",
  ),
}));

test("what is passed over has no part in a match, and the state is that of one who has read it all", () => {
  for (const { secrets, automaton } of automata) {
    const [first = "none", second = first] = secrets;
    const piece = fc.oneof(
      fc.constantFrom(first, second, first.slice(1), first.slice(0, -1), first.slice(0, 3), second.slice(-5)),
      fc.string({ unit: fc.constantFrom(..."ab", " ", first.slice(0, 1), first.slice(-1), "\u00ff"), maxLength: 30 }),
      fc.string({ unit: fc.constantFrom(..."the quick brown fox"), maxLength: 60 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.array(fc.nat(400), { maxLength: 5 }), (pieces, cuts) => {
        const bytes = Buffer.from(pieces.join(""), "latin1");
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
        let state = 0;
        for (let at = 1; at < places.length; at++) {
          const input = bytes.subarray(places[at - 1], places[at]);
          const found = quickly(automaton, state, input);
          assert.deepEqual(found, plainly(automaton, state, input));
          state = found.state;
        }
      }),
      { seed: 27, numRuns: 600 },
    );
  }
});

test("a match is found wherever it begins, and at the end of what was read as much of one as is there", () => {
  const secret = "sk-0a1b2c3d4e5f6a7b8";
  const automaton = compileScrubber([Buffer.from(secret)], "-");
  for (let before = 0; before < 80; before++)
    for (let cut = 1; cut <= secret.length; cut++) {
      const input = Buffer.from("x".repeat(before) + secret.slice(0, cut));
      assert.deepEqual(quickly(automaton, 0, input), plainly(automaton, 0, input));
    }
});

test("each state is the longest beginning of a pattern with which the text ends", () => {
  const secrets = [
    "abababababab",
    "abcdefgh",
    "cdefghijklmnop",
    "aaaaaaaab",
    "baaaaaaaa",
    "+/=&<'\"\\+/=&<'\"\\",
    "abcdefghij",
  ];
  const automaton = compileScrubber(
    secrets.map((secret) => Buffer.from(secret)),
    "-",
  );
  const patterns = secrets
    .flatMap((secret) => disguisesOf(Buffer.from(secret)))
    .map((pattern) => pattern.toString("latin1"))
    .filter(({ length }) => length >= 8);
  const beginnings = new Set(patterns.flatMap((pattern) => [...pattern].map((_, at) => pattern.slice(0, at + 1))));
  const piece = fc.oneof(
    fc.constantFrom(...patterns),
    fc.tuple(fc.constantFrom(...patterns), fc.nat(40)).map(([pattern, at]) => pattern.slice(0, at)),
    fc.tuple(fc.constantFrom(...patterns), fc.nat(40)).map(([pattern, at]) => pattern.slice(at)),
    fc.string({ unit: fc.constantFrom(..."abc%u0+/&\\", "\u00ff"), maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const text = pieces.join("");
      let state = 0;
      for (let at = 0; at < text.length; at++) {
        state = step(automaton, state, text.charCodeAt(at));
        let begun = Math.max(0, at - 100);
        while (begun <= at && !beginnings.has(text.slice(begun, at + 1))) begun++;
        const ended = patterns.filter((pattern) => text.endsWith(pattern, at + 1)).map(({ length }) => length);
        assert.equal(automaton.depth[state], at + 1 - begun);
        assert.equal(automaton.match[state], Math.max(0, ...ended));
      }
    }),
    { seed: 31, numRuns: 400 },
  );
});

test("a secret of any kind takes room in proportion to its disguises", () => {
  for (const letters of ["abcdefghijklmnopqrstuvwxyz", "+/=&<'\"\\"]) {
    const secret = Buffer.from(Array.from({ length: 16_384 }, (_, at) => letters[(at * at) % letters.length]).join(""));
    const { rows, ...others } = compileScrubber([secret], "-");
    const bytes = disguisesOf(secret).reduce((sum, { length }) => sum + length, 0);
    let states = 0;
    for (const each of Object.values(others)) if (ArrayBuffer.isView(each)) states += each.byteLength;
    assert.ok(states < 32 * bytes, `${states} bytes for ${bytes}`);
    assert.ok(rows.byteLength < 256 * 1_024, `${rows.byteLength} bytes of rows`);
  }
});
