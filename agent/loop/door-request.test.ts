import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { doorRequest, type DoorRequest } from "./door-request.ts";

describe("a request to the door", { timeout: 30_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "cordon-request-"));
  const socketPath = join(folder, "door.sock");
  let asked = "";
  let answer: (socket: Socket) => void = () => undefined;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (bytes) => {
      asked = bytes.toString("utf8");
      answer(socket);
    });
  });
  before(async () => void (await once(server.listen(socketPath), "listening")));
  after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  const long = { idleMs: 20_000, totalMs: 20_000, responseBytesMax: 100 };
  const ask = (changes: Partial<DoorRequest> = {}) =>
    doorRequest(socketPath, { method: "GET", path: "/v1/self", ...long, ...changes });
  const says = (text: string) => (socket: Socket) => void socket.write(text);
  const stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

  it("is one plain request, and its answer is text", async () => {
    answer = says("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nä!");
    assert.deepEqual(await ask({ method: "POST", body: '"ö"', headers: { "x-a": "b" } }), {
      ok: true,
      value: { status: 200, streamed: false, text: "ä!" },
    });
    const [head = "", body] = asked.split("\r\n\r\n");
    assert.deepEqual(head.split("\r\n").toSorted(), [
      "POST /v1/self HTTP/1.1",
      ...["connection: close", "content-length: 4", "content-type: application/json", "host: door", "x-a: b"],
    ]);
    assert.equal(body, '"ö"');
  });

  it("takes a stream as it comes, and a letter that is cut in two as one", async () => {
    const taken: string[] = [];
    answer = (socket) => {
      const bytes = Buffer.from("ü");
      socket.write(`${stream}1\r\n`);
      socket.write(Buffer.concat([bytes.subarray(0, 1), Buffer.from("\r\n1\r\n"), bytes.subarray(1)]));
      socket.write("\r\n0\r\n\r\n");
    };
    const done = await ask({ onStream: (text) => void taken.push(text) });
    assert.deepEqual([done.ok && done.value.streamed, taken.join("")], [true, "ü"]);
  });

  const faults: Readonly<Record<string, readonly [string, Partial<DoorRequest>, RegExp]>> = {
    "is longer than it may be": [`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(101)}`, {}, /longer than 100 bytes/],
    "is a longer stream than it may be": [`${stream}65\r\n${"x".repeat(101)}`, { onStream: () => undefined }, /longer/],
    "is refused by who reads it": [`${stream}1\r\nx\r\n`, { onStream: () => "no" }, /^no$/],
    "comes to nothing": ["HTTP/1.1 200 OK\r\n", { idleMs: 50 }, /silent for 50 ms/],
    "never ends": ["HTTP/1.1 200 OK\r\n\r\n", { totalMs: 50 }, /no complete answer within 50 ms/],
    "is no answer": ["hello\r\n\r\n", {}, /not one of HTTP/],
  };
  for (const [what, [text, changes, fault]] of Object.entries(faults))
    it(`fails when its answer ${what}`, async () => {
      answer = says(text);
      const outcome = await ask(changes);
      assert.ok(!outcome.ok);
      assert.match(outcome.error.reason, fault);
      assert.equal(outcome.error.sent, true);
    });

  it("fails when its answer breaks off, or nobody wants it any more", async () => {
    answer = (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nx");
    const broken = await ask();
    assert.ok(!broken.ok && broken.error.reason === "the answer broke off");
    const stop = new AbortController();
    answer = () => stop.abort();
    const aborted = await ask({ signal: stop.signal });
    assert.ok(!aborted.ok && aborted.error.reason === "aborted");
  });

  it("was not sent where there is no door", async () => {
    const outcome = await doorRequest(join(folder, "absent"), { method: "GET", path: "/", ...long });
    assert.deepEqual(outcome, { ok: false, error: { reason: "ENOENT", sent: false } });
  });

  it("carries nothing that ends a line", async () => {
    await assert.rejects(ask({ path: "/v1/self HTTP/1.1\r\nx: y" }));
    await assert.rejects(ask({ headers: { a: "b\r\nc: d" } }));
  });
});
