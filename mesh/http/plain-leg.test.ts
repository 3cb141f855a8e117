import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as askBy, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock, type Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal } from "../../protocol/refusal.ts";
import { Deadlines } from "./deadlines.ts";
import { readJson, sendJson, sendRefusal, type HttpRequest, type HttpResponse } from "./exchange.ts";
import { PlainLeg } from "./plain-leg.ts";
import { PlainRequest } from "./plain-request.ts";
import { PlainResponse } from "./plain-response.ts";
import { stillClock } from "./testing/still-clock.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-plain-"));
const opened: { readonly server: Server; readonly leg: PlainLeg }[] = [];
after(() => {
  for (const { server, leg } of opened) {
    server.close();
    server.closeAllConnections();
    leg.closeAll();
  }
  rmSync(folder, { recursive: true });
});

type Handler = (request: HttpRequest, response: HttpResponse) => void;

/** A server behind a plain leg; `read` counts who read the requests. */
async function serve(handler: Handler, clock: Clock = systemClock) {
  const read = { plainly: 0, byNode: 0 };
  const server = createServer({ shouldUpgradeCallback: () => false }, (request, response) => {
    read.byNode++;
    handler(request, response);
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  const leg = new PlainLeg(server, { clock, deadlines: new Deadlines(clock) }, (request, response) => {
    read.plainly++;
    handler(request, response);
  });
  const path = join(folder, `${opened.length}.sock`);
  opened.push({ server, leg });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { path, read };
}

/** Says back what it was asked. */
const echo: Handler = (request, response) => {
  void readJson(request, 1_000_000).then((body) => {
    if (!body.ok) return sendRefusal(response, body.error);
    sendJson(response, 200, { url: request.url, body: body.value.value });
  });
};

/** A client that reads all that comes. */
function dial(path: string) {
  const socket = connect(path);
  const heard = { text: "", closed: false };
  socket.on("error", () => {}).on("close", () => (heard.closed = true));
  socket.on("data", (bytes) => (heard.text += bytes.toString("latin1")));
  const until = async (right: () => boolean): Promise<void> => {
    for (let n = 0; !right(); n++) {
      assert.ok(n < 3_000, `waited in vain; it has heard ${JSON.stringify(heard.text.slice(-300))}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { socket, heard, until, answers: () => heard.text.split("HTTP/1.1 ").length - 1 };
}

const post = (body: string, fields = "", target = "/a"): string =>
  `POST ${target} HTTP/1.1\r\nHost: x\r\n${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test("requests of one connection are answered in their order, however they come", async () => {
  const { path, read } = await serve(echo);
  for (const size of [1_000, 60, 7]) {
    const { socket, heard, until, answers } = dial(path);
    const all = Array.from({ length: 5 }, (_, n) => post(JSON.stringify({ n, word: "\u00e9".repeat(n) }))).join("");
    for (let at = 0; at < all.length; at += size) {
      socket.write(all.slice(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => answers() === 5 && heard.text.endsWith("}"));
    assert.deepEqual(
      [...heard.text.matchAll(/"n":(\d)/g)].map(([, n]) => n),
      ["0", "1", "2", "3", "4"],
    );
    socket.destroy();
  }
  assert.ok(read.plainly >= 5, JSON.stringify(read));
  assert.equal(read.plainly + read.byNode, 15);
});

test("Node's own client understands every kind of answer, and its connection lives on", async () => {
  const { path, read } = await serve((request, response) => {
    if (request.url === "/none") {
      response.writeHead(204, {});
      return response.end();
    }
    if (request.url === "/whole") return sendJson(response, 200, { word: "\u00e9\u4e2d" });
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (request.url === "/slow") response.flushHeaders();
    response.write(Buffer.from("data: 1\n\n"));
    response.write(Buffer.from("data: 2\n\n"));
    if (request.url === "/slow") response.end(Buffer.alloc(0));
    else response.end();
  });
  const { Agent } = await import("node:http");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (target: string): Promise<unknown[]> =>
    new Promise((resolve, reject) => {
      askBy({ agent, socketPath: path, path: target, method: "POST" }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
        response.once("end", () =>
          resolve([response.statusCode, text, response.complete, response.headers.date !== undefined]),
        );
      })
        .once("error", reject)
        .setHeader("content-length", "0")
        .end();
    });
  for (let n = 0; n < 2; n++) {
    assert.deepEqual(await ask("/none"), [204, "", true, true]);
    assert.deepEqual(await ask("/whole"), [200, '{"word":"\u00e9\u4e2d"}', true, true]);
    assert.deepEqual(await ask("/stream"), [200, "data: 1\n\ndata: 2\n\n", true, true]);
    assert.deepEqual(await ask("/slow"), [200, "data: 1\n\ndata: 2\n\n", true, true]);
  }
  agent.destroy();
  assert.deepEqual(read, { plainly: 8, byNode: 0 });
});

test("whatever is no plain request takes its connection to Node's server, with every byte", async () => {
  const { path, read } = await serve(echo);
  const chunked = "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n";
  for (const before of [0, 2]) {
    const { socket, heard, until, answers } = dial(path);
    socket.write(`${post("[0]").repeat(before)}${chunked}${post("[2]")}`);
    await until(() => answers() === before + 2 && heard.text.endsWith("}"));
    assert.match(heard.text, /"url":"\/c","body":\[1\]\}.*"body":\[2\]\}$/s);
    socket.destroy();
  }
  assert.deepEqual(read, { plainly: 2, byNode: 4 });
});

test("a head in pieces is waited for here; what it turns out not to be is Node's, with every byte", async () => {
  const { path, read } = await serve(echo);
  const { socket, heard, until } = dial(path);
  socket.setNoDelay(true).write(post("[0]"));
  await until(() => heard.text.endsWith('"body":[0]}'));
  for (const byte of post("[3]")) {
    socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => heard.text.endsWith('"body":[3]}'));
  socket.write("POST /a HTTP/1.1\r\nHo");
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write("st: x\r\nContent-Length: 3\r\n\r\n[4]");
  await until(() => heard.text.endsWith('"body":[4]}'));
  assert.deepEqual(read, { plainly: 3, byNode: 0 });
  socket.write("POST /b HTTP/1.1\r\nHo");
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write("st: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[5]\r\n0\r\n\r\n");
  await until(() => heard.text.endsWith('"body":[5]}'));
  assert.deepEqual(read, { plainly: 3, byNode: 1 });
  socket.destroy();
});

test("no second request hides behind a first", async () => {
  const { path } = await serve(echo);
  const inner = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const fields of [
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Content-Length: 50\r\n",
    "Content-Length: +2\r\n",
    "X-A: b\r\n Content-Length: 50\r\n",
    "Content-Length : 50\r\n",
  ]) {
    const { socket, heard } = dial(path);
    socket.write(post("{}", fields) + inner);
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.ok(!heard.text.includes("/inner"), `${fields}: ${heard.text}`);
    socket.destroy();
  }
});

test("an answer before the body was read ends the connection, after the answer", async () => {
  const { path } = await serve((request, response) => {
    void readJson(request, 1_000).then((body) => body.ok || sendRefusal(response, body.error));
  });
  const { socket, heard, until } = dial(path);
  socket.write(post("x".repeat(3_000_000)) + post("[1]"));
  await until(() => heard.text.includes("too_large"));
  assert.match(heard.text, /^HTTP\/1\.1 413 .*\r\nconnection: close\r\n/s);
  await until(() => socket.readableEnded);
  assert.equal(heard.text.split("HTTP/1.1 ").length, 2);
  socket.destroy();
});

test("a body that nobody wants is not read, and one that is wanted is read to its end", async () => {
  let wanted: PlainRequest | undefined;
  const { path } = await serve((request) => {
    if (request instanceof PlainRequest) wanted = request;
  });
  const { socket, until } = dial(path);
  let sent = false;
  socket.write(post("x".repeat(20_000_000)), () => (sent = true));
  await until(() => wanted !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok((wanted?.unwantedBytes ?? 0) <= 4 * limits.http.heldBytesMax, `${wanted?.unwantedBytes} bytes`);
  assert.equal(sent, false);
  const body = await wanted?.body();
  assert.equal(body?.length, 20_000_000);
  socket.destroy();
});

test("who asks on without reading is not answered on", async () => {
  let answered = 0;
  const { path } = await serve((_request, response) => {
    answered++;
    sendJson(response, 200, { word: "x".repeat(200_000) });
  });
  const { socket, until } = dial(path);
  socket.pause();
  socket.write(post("{}").repeat(5_000));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const before = answered;
  assert.ok(before < 20, `${before} answers wait`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(answered, before);
  socket.resume();
  await until(() => answered > before + 5);
  socket.destroy();
});

test("the body of a request that was answered before it came is not taken for the next one", async () => {
  const asked: (string | undefined)[] = [];
  const { path } = await serve((request, response) => {
    asked.push(request.url);
    sendJson(response, 200, {});
  });
  const { socket, heard, until } = dial(path);
  socket.write("POST /a HTTP/1.1\r\nContent-Length: 60\r\n\r\n");
  await until(() => heard.text.endsWith("{}"));
  assert.match(heard.text, /connection: close\r\n/);
  socket.write("GET /inner HTTP/1.1\r\nHost: x\r\nX-A: 0123456789\r\n\r\n".padEnd(60, "x"));
  await until(() => socket.readableEnded);
  assert.deepEqual(asked, ["/a"]);
});

test("what is sent before an answer has left is not read without end", async () => {
  let answer: (() => void) | undefined;
  const { path } = await serve((_request, response) => (answer ??= () => sendJson(response, 200, {})));
  const { socket, heard, until } = dial(path);
  let sent = false;
  socket.write(post("{}") + `GET /b HTTP/1.1\r\nX-A: ${"x".repeat(2_000_000)}`, () => (sent = true));
  await until(() => answer !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(sent, false);
  answer?.();
  // What comes then is no head that anybody reads.
  await until(() => heard.closed);
});

test("who has gone is known at once: in the middle of an answer, and of a body", async () => {
  const gone = Promise.withResolvers<boolean>();
  const { path } = await serve((request, response) => {
    response.once("close", () => gone.resolve(response.writableFinished));
    if (request.url === "/body")
      void readJson(request, 1_000).then((body) =>
        sendRefusal(response, body.ok ? refusal("busy", "", "") : body.error),
      );
    else response.flushHeaders();
  });
  const { socket, heard, until } = dial(path);
  socket.write(post("{}"));
  await until(() => heard.text.includes("200"));
  socket.destroy();
  assert.equal(await gone.promise, false);
  const { socket: half, heard: told, until: patient } = dial(path);
  half.end(post("{}", "", "/body").slice(0, -1));
  await patient(() => told.closed);
});

test("a head in its time, a body in its time, and then as long as the connection may be idle", async () => {
  const clock = stillClock();
  const { path } = await serve(echo, clock);
  const { headTimeoutMs, requestTimeoutMs, keepAliveMs } = limits.door;
  const closesAfter = async (bytes: string, ready: (heard: string) => boolean): Promise<number> => {
    const { socket, heard, until } = dial(path);
    await new Promise((resolve) => socket.once("connect", resolve));
    if (bytes !== "") socket.write(bytes);
    await until(() => ready(heard.text));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const from = clock.nowMs();
    while (!heard.closed) {
      await clock.move(500);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return clock.nowMs() - from;
  };
  const near = (ms: number, wanted: number): void =>
    assert.ok(ms >= wanted && ms <= wanted + 3_000, `${ms} ms, not ${wanted}`);
  near(await closesAfter("", () => true), headTimeoutMs);
  near(await closesAfter(post("[12345]").slice(0, -2), () => true), requestTimeoutMs);
  near(await closesAfter(post("[1]"), (text) => text.includes("body")), keepAliveMs);
});

test("an answer may be read as slowly as its reader likes, and only then is the connection idle", async () => {
  const clock = stillClock();
  let answered = false;
  const { path } = await serve((_request, response) => {
    sendJson(response, 200, "x".repeat(8_000_000));
    answered = true;
  }, clock);
  const { socket, heard, until } = dial(path);
  socket.pause();
  socket.write(post("{}"));
  await until(() => answered);
  await clock.move(10 * limits.door.keepAliveMs);
  assert.equal(heard.closed, false);
  socket.resume();
  await until(() => heard.text.length > 8_000_000);
  while (!heard.closed) {
    await clock.move(500);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(clock.nowMs() >= 11 * limits.door.keepAliveMs);
});

test("the last answer of a connection may be read as slowly, and a client that says nothing after it is left", async () => {
  const clock = stillClock();
  const seen = { answered: false, ended: false, bytes: 0 };
  const { path } = await serve((_request, response) => {
    sendJson(response, 200, "x".repeat(8_000_000));
    seen.answered = true;
  }, clock);
  const socket = connect({ path, allowHalfOpen: true });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("data", (piece) => (seen.bytes += piece.length)).on("end", () => (seen.ended = true));
  socket.on("error", () => {}).pause();
  socket.write(post("{}", "Connection: close\r\n"));
  while (!seen.answered) await new Promise((resolve) => setTimeout(resolve, 5));
  await clock.move(10 * limits.door.headTimeoutMs);
  socket.resume();
  while (!seen.ended) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(seen.bytes > 8_000_000, `${seen.bytes} bytes have come`);
  const hold = setInterval(() => void clock.move(500), 5);
  // It keeps its own half open; what it writes is for nobody.
  const write = setInterval(() => socket.write("x"), 5);
  await closed;
  clearInterval(hold);
  clearInterval(write);
});

test("nothing becomes a second line of an answer's head", () => {
  const leg = new PlainLeg(createServer(), { clock: systemClock, deadlines: new Deadlines(systemClock) }, () => {});
  const bearer = {
    ...{ socket: undefined as unknown as Socket, keeps: true, dateLine: () => "" },
    linesOf: (fields: Readonly<Record<string, string>>) => leg.linesOf(fields),
    answered: () => {},
  };
  const response = new PlainResponse(bearer);
  for (const fields of [{ "x-a": "b\r\nx-c: d" }, { "x-a\r\nb": "c" }, { "x-a": "\u4e2d" }]) {
    assert.throws(() => response.writeHead(200, fields), { code: "ERR_INVALID_CHAR" });
    // The same again is not taken for what was written before.
    for (let n = 0; n < 2; n++)
      assert.throws(() => response.whole(200, fields, "", Buffer.alloc(0)), { code: "ERR_INVALID_CHAR" });
  }
  assert.equal(response.headersSent, false);
});

test("a piece of any size is framed by its size", () => {
  const out: Buffer[] = [];
  const socket = { destroyed: false, write: (bytes: Buffer) => out.push(bytes) } as unknown as Socket;
  const lines = { dateLine: () => "", linesOf: () => "" };
  const response = new PlainResponse({ socket, keeps: true, ...lines, answered: () => {} });
  response.writeHead(200);
  response.flushHeaders();
  for (const size of [1, 9, 10, 15, 16, 17, 255, 256, 4_095, 4_096, 65_535, 65_536, 1_048_576]) {
    out.length = 0;
    const piece = Buffer.alloc(size, "x");
    response.write(piece);
    const framed = Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
    assert.ok(out[0]?.equals(framed), `${size} bytes`);
  }
});
