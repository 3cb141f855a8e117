import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../../lib/clock.ts";
import { FrameError, FrameReader, opcodes, writeFrame, type Frame } from "./websocket-frames.ts";

const fuzzMs = Number(process.env["CORDON_FUZZ_SECONDS"] ?? 0) * 1_000;
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

test("the examples of RFC 6455 §5.7", () => {
  const hello = Buffer.from("Hello");
  const masked = Buffer.from("818537fa213d7f9f4d5158", "hex");
  assert.deepEqual(
    writeFrame({ fin: true, opcode: opcodes.text, payload: hello, mask: null }),
    Buffer.from("810548656c6c6f", "hex"),
  );
  assert.deepEqual(writeFrame({ fin: true, opcode: opcodes.text, payload: hello, mask: MASK }), masked);
  assert.deepEqual(new FrameReader(true).push(masked), [{ fin: true, opcode: 1, payload: hello, mask: MASK }]);
  const long = Buffer.alloc(65_536, 7);
  const frame = writeFrame({ fin: true, opcode: opcodes.binary, payload: long, mask: null });
  assert.equal(frame.subarray(0, 10).toString("hex"), "827f0000000000010000");
  assert.deepEqual(new FrameReader(false).push(frame)[0]?.payload, long);
});

test("frames come out as they went in, however the stream is cut", () => {
  const message = fc.tuple(
    fc.constantFrom(1, 2),
    fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 3 }),
  );
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 20 }),
      fc.boolean(),
      (messages, cuts, fromClient) => {
        const mask = fromClient ? MASK : null;
        const frames = messages.flatMap(([opcode, parts]) =>
          parts.map((part, i): Frame => ({
            fin: i === parts.length - 1,
            opcode: i === 0 ? opcode : 0,
            payload: Buffer.from(part),
            mask,
          })),
        );
        const stream = Buffer.concat(frames.map(writeFrame));
        const reader = new FrameReader(fromClient);
        const read: Frame[] = [];
        let at = 0;
        for (const cut of [...cuts, stream.length]) read.push(...reader.push(stream.subarray(at, (at += cut))));
        assert.deepEqual(read, frames);
      },
    ),
    { seed: 46, numRuns: 500 },
  );
});

test("what breaks the protocol, or a bound, is refused before it is kept", () => {
  const bad: readonly (readonly [string, boolean, string])[] = [
    ["a reserved bit", false, "c10161"],
    ["a mask from a server", false, "818537fa213d7f9f4d5158"],
    ["no mask from a client", true, "810548656c6c6f"],
    ["an opcode that is not one", false, "830161"],
    ["a control opcode that is not one", false, "8b0161"],
    ["a control frame in pieces", false, "090161"],
    ["a long control frame", false, "897e0080"],
    ["a continuation of nothing", false, "800161"],
    ["a message within a message", false, "010161810161"],
    ["a length of 16 bits for a short one", false, "817e0005"],
    ["a length of 64 bits for a short one", false, "817f0000000000000005"],
    ["a length beyond the bound", false, "827f0000000010000000"],
    ["a length beyond all numbers", false, "827fffffffffffffffff"],
  ];
  for (const [what, masked, hex] of bad)
    assert.throws(() => new FrameReader(masked).push(Buffer.from(hex, "hex")), FrameError, what);
});

test("no bytes make it throw anything else", () => {
  const started = systemClock.monotonicMs();
  let seed = 47;
  do {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), fc.boolean(), (chunks, masked) => {
        const reader = new FrameReader(masked);
        try {
          for (const chunk of chunks)
            for (const frame of reader.push(Buffer.from(chunk))) assert.ok(frame.opcode <= 10);
        } catch (error) {
          assert.ok(error instanceof FrameError);
        }
      }),
      { seed, numRuns: 3_000 },
    );
    seed++;
  } while (systemClock.monotonicMs() - started < fuzzMs);
});
