import assert from "node:assert/strict";
import { once } from "node:events";
import { it } from "node:test";
import fc from "fast-check";
import { FrameReader } from "./frames.ts";

const frame = (stream: number, text: string): Buffer => {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

it("puts frames together wherever the stream was cut", async () => {
  const part = fc.tuple(fc.constantFrom(1, 2), fc.string({ maxLength: 40 }));
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 12 }), fc.integer({ min: 1, max: 30 }), async (parts, step) => {
      const bytes = Buffer.concat(parts.map(([stream, text]) => frame(stream, text)));
      let errors = "";
      const reader = new FrameReader((chunk) => (errors += chunk.toString("latin1")));
      let text = "";
      reader.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      for (let at = 0; at < bytes.length; at += step) reader.write(bytes.subarray(at, at + step));
      reader.end();
      await once(reader, "end");
      const wanted = (stream: number): string =>
        Buffer.concat(parts.filter(([s]) => s === stream).map(([, t]) => Buffer.from(t))).toString("latin1");
      assert.deepEqual([text, errors], [wanted(1), wanted(2)]);
    }),
    { seed: 20_261_122, numRuns: 200 },
  );
});

it("refuses a frame of no known stream", async () => {
  const reader = new FrameReader();
  reader.write(frame(7, "x"));
  const [error] = (await once(reader, "error")) as [Error];
  assert.match(error.message, /no known stream/);
});
