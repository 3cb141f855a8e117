import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import type { AnswerSink } from "../egress/answer-relay.ts";
import { ResponseSink } from "./answer-sink.ts";

/** What a client reads, piece by piece, of an answer that `act` gives. */
async function reading(t: TestContext, act: (sink: AnswerSink, end: () => void) => void) {
  const server = createServer((_request, response) => {
    const sink = new ResponseSink(response, undefined, undefined);
    act(sink, () => sink.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  t.after(() => {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  socket.write("GET / HTTP/1.1\r\nhost: door\r\n\r\n");
  return socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
}
const stream = { "content-type": "text/event-stream" };

test("the head of a stream does not wait for an event that is not there", async (t) => {
  let sink: AnswerSink | undefined;
  const pieces = await reading(t, (its) => {
    sink = its;
    its.head(200, stream);
  });
  const head = String((await pieces.next()).value);
  assert.match(head, /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream\r\n[^]*\r\n\r\n$/);
  sink?.write(Buffer.from("data: 1\n\n"));
  assert.match(String((await pieces.next()).value), /^9\r\ndata: 1/);
});

test("the head of a stream and an event of the same turn go out as one", async (t) => {
  const pieces = await reading(t, (sink) => {
    sink.head(200, stream);
    queueMicrotask(() => sink.write(Buffer.from("data: 1\n\n")));
  });
  assert.match(String((await pieces.next()).value), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n9\r\ndata: 1\n\n/);
});

test("events of one turn are one chunk, and the end comes after them", async (t) => {
  const pieces = await reading(t, (sink, end) => {
    sink.head(200, stream);
    for (const event of ["data: 1\n\n", "data: 2\n\n"]) {
      // Memory that is read into again.
      const memory = Buffer.from(event);
      sink.write(memory);
      memory.fill("#");
    }
    end();
  });
  let text = "";
  while (!text.endsWith("0\r\n\r\n")) text += String((await pieces.next()).value);
  assert.match(text, /\r\n\r\n12\r\ndata: 1\n\ndata: 2\n\n\r\n0\r\n\r\n$/);
});

test("a reader that is slow is waited for, and loses nothing", async (t) => {
  const event = Buffer.from(`data: ${"#".repeat(60_000)}\n\n`);
  const refused = Promise.withResolvers<AnswerSink>();
  let written = 0;
  let done = (): void => {};
  const pieces = await reading(t, (sink, end) => {
    done = end;
    sink.head(200, stream);
    const more = (): void => {
      written++;
      if (sink.write(event)) setImmediate(more);
      else refused.resolve(sink);
    };
    more();
  });
  const sink = await refused.promise;
  sink.drained(done);
  let read = 0;
  for (let last = ""; !last.endsWith("0\r\n\r\n");) {
    const piece = ((await pieces.next()).value as Buffer).toString("latin1");
    read += piece.split("#").length - 1;
    last = (last + piece).slice(-5);
  }
  assert.equal(read, written * 60_000);
});

test("a whole answer has every byte that it had, small or large", async (t) => {
  for (const length of [0, 256, 16 * 1024, 16 * 1024 + 1, 300_000]) {
    const body = Buffer.alloc(
      length,
      Uint8Array.from({ length: 256 }, (_, byte) => byte),
    );
    const pieces = await reading(t, (sink) => sink.whole?.(200, { "content-type": "application/json" }, body));
    let read = Buffer.alloc(0);
    for (let begin = -1; begin < 0 || read.length < begin + 4 + length; begin = read.indexOf("\r\n\r\n"))
      read = Buffer.concat([read, (await pieces.next()).value as Buffer]);
    const begin = read.indexOf("\r\n\r\n") + 4;
    assert.ok(read.subarray(0, begin).toString().includes(`content-length: ${length}\r\n`));
    assert.ok(read.subarray(begin).equals(body));
  }
});
