import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileScrubber } from "../scrubber.ts";
import { opcodes } from "./websocket-frames.ts";
import { FrameScrubber } from "./websocket-scrubber.ts";

const secret = "canary-123456789";
const REMOVED = "[removed]";
const automaton = compileScrubber([Buffer.from(secret)], REMOVED);

/** The texts that go on, message by message, until the connection is to end. */
function through(messages: readonly (readonly string[])[]): {
  readonly texts: readonly string[];
  readonly cut: boolean;
} {
  const scrubber = new FrameScrubber([automaton]);
  const texts: string[] = [];
  for (const message of messages) {
    for (const [index, text] of message.entries()) {
      const opcode = index === 0 ? opcodes.text : opcodes.continuation;
      const ready = scrubber.push({
        fin: index === message.length - 1,
        opcode,
        payload: Buffer.from(text),
        mask: null,
      });
      if (!ready) return { texts, cut: true };
      texts.push(...ready.map(({ payload }) => payload.toString()));
    }
  }
  return { texts, cut: false };
}

test("a message that ends with the credential goes on at once, without it", () => {
  for (const before of ["", "you said "])
    assert.deepEqual(through([[`${before}${secret}`]]), { texts: [`${before}${REMOVED}`], cut: false });
  assert.deepEqual(through([[secret], [secret]]).texts, [REMOVED, REMOVED]);
});

test("split over the frames of a message it is replaced, split over messages it ends the connection", () => {
  assert.equal(through([["a canary-", "123456789"]]).texts.join(""), `a ${REMOVED}`);
  const split = through([["a canary-12"], ["3456789"]]);
  assert.deepEqual([split.cut, split.texts.join("").includes("3456789")], [true, false]);
});

test("behind a whole one a split one is still seen", () => {
  const { texts, cut } = through([[`${secret} canary-123`], ["456789"]]);
  assert.equal(cut, true);
  assert.ok(!texts.join("").includes("canary"));
});

test("however it is cut into messages and frames, it comes together nowhere", () => {
  const piece = fc.oneof(fc.constantFrom(secret, "canary-", "123456789", "x", "y "), fc.string({ maxLength: 4 }));
  const message = fc.array(piece, { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), (messages) => {
      assert.ok(!through(messages).texts.join("").includes(secret));
    }),
    { seed: 71, numRuns: 2_000 },
  );
});
