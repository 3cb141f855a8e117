import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { test } from "node:test";
import fc from "fast-check";
import type { Dispatcher } from "undici";
import { AwsEventDecoder } from "./aws-event-stream.ts";
import { BedrockAnswer } from "./bedrock-answer.ts";

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

/** One message as a server writes it. */
function encode(headers: Readonly<Record<string, string>>, payload: string | Buffer): Buffer {
  const head = Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(Buffer.byteLength(value));
      return Buffer.concat([
        Buffer.from([name.length]),
        Buffer.from(name),
        Buffer.from([7]),
        length,
        Buffer.from(value),
      ]);
    }),
  );
  const body = Buffer.from(payload);
  const prelude = Buffer.concat([u32(12 + head.length + body.length + 4), u32(head.length)]);
  const message = Buffer.concat([prelude, u32(crc32(prelude)), head, body]);
  return Buffer.concat([message, u32(crc32(message))]);
}
const chunk = (event: object): Buffer =>
  encode(
    { ":message-type": "event", ":event-type": "chunk" },
    JSON.stringify({ bytes: Buffer.from(JSON.stringify(event)).toString("base64"), p: "abc" }),
  );

test("any cuts give the same messages", () => {
  const message = fc.record({
    name: fc.constantFrom(":a", "b"),
    value: fc.string({ maxLength: 20 }),
    payload: fc.string({ maxLength: 50 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(400), { maxLength: 8 }), (messages, cuts) => {
      const bytes = Buffer.concat(messages.map(({ name, value, payload }) => encode({ [name]: value }, payload)));
      const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const decoder = new AwsEventDecoder();
      // Each piece in memory that is used again for the next.
      const memory = Buffer.alloc(bytes.length);
      const read = places.slice(1).flatMap((to, at) => {
        const length = bytes.copy(memory, 0, places[at], to);
        return decoder.push(memory.subarray(0, length));
      });
      assert.ok(decoder.empty);
      assert.deepEqual(
        read.map(({ headers, payload }) => [{ ...headers }, payload.toString()]),
        messages.map(({ name, value, payload }) => [{ [name]: value }, payload]),
      );
    }),
    { seed: 61, numRuns: 500 },
  );
});

test("a changed byte is found, and nothing after it is trusted", () => {
  const bytes = chunk({ type: "message_stop" });
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    const decoder = new AwsEventDecoder();
    let passed: unknown[] = [];
    try {
      passed = decoder.push(damaged);
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
    }
    assert.deepEqual(passed, [], `byte ${at}`);
    // Else a damaged length would be waited for, for ever.
    if (at < 12) assert.throws(() => new AwsEventDecoder().push(damaged.subarray(0, 12)), RangeError);
  }
});

function play() {
  const heard: string[] = [];
  const answer = new BedrockAnswer({
    onResponseStart: (_controller, status, headers) => heard.push(`${status} ${String(headers["content-type"])}`),
    onResponseData: (_controller, data) => heard.push(data.toString()),
    onResponseEnd: () => heard.push("end"),
    onResponseError: () => heard.push("error"),
  });
  const controller = {} as Dispatcher.DispatchController;
  answer.onResponseStart(controller, 200, { "content-type": "application/vnd.amazon.eventstream" });
  return {
    heard,
    data: (bytes: Buffer) => answer.onResponseData(controller, bytes),
    end: () => answer.onResponseEnd(controller, {}),
  };
}

test("chunks become the events of the model's own format, an exception its error", () => {
  const { heard, data, end } = play();
  data(chunk({ type: "content_block_delta", index: 0, delta: { text: "a\n\nevent: x" } }));
  data(encode({ ":message-type": "exception", ":exception-type": "throttlingException" }, `{"message":"slow"}`));
  end();
  assert.deepEqual(heard, [
    "200 text/event-stream",
    `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"a\\n\\nevent: x"}}\n\n`,
    `event: error\ndata: {"type":"error","error":{"type":"throttlingException","message":"slow"}}\n\n`,
    "end",
  ]);
});

test("a stream that is damaged, or ends within a message, is broken off", () => {
  const damaged = play();
  damaged.data(Buffer.alloc(32, 1));
  damaged.data(chunk({ type: "ping" }));
  damaged.end();
  assert.deepEqual(damaged.heard, ["200 text/event-stream", "error"]);
  const short = play();
  short.data(chunk({ type: "ping" }).subarray(0, 20));
  short.end();
  assert.deepEqual(short.heard, ["200 text/event-stream", "error"]);
});
