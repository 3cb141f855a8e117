/** A client that asks to go on in another protocol while an answer is owed on the same connection: it ends its connection, and no more. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import type { DoorServices } from "../../../mesh/door/services.ts";
import type { Duplex } from "node:stream";
import { startWeb, type WebPlace } from "../../fleet/web-place.ts";

const crashes: unknown[] = [];
const note = (error: unknown): void => void crashes.push(error);
const arrived: string[] = [];
const waiting: Socket[] = [];
const entered: Duplex[] = [];
let server: Server;
let at: string;
let place: WebPlace;

before(async () => {
  process.on("uncaughtException", note);
  // It answers when it is told to.
  server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      arrived.push(bytes.toString("latin1"));
      waiting.push(socket);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  at = `slow.test:${(server.address() as AddressInfo).port}`;
  // A lane of which nobody listens for the errors of what enters it.
  const lane = { enter: (socket: Duplex) => entered.push(socket), close: () => Promise.resolve() };
  const postgres = { lane: () => lane } as unknown as NonNullable<DoorServices["postgres"]>;
  place = await startWeb({ reach: [{ to: `http://${at}`, address: "127.0.0.1" }], services: { postgres } });
});

after(async () => {
  process.off("uncaughtException", note);
  for (const socket of waiting) socket.destroy();
  await place.close();
  server.close();
});

const upgrade = `Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n`;

/** All that is answered before the connection ends. */
async function told(bytes: string): Promise<string> {
  const socket = connect(place.socketPath);
  let text = "";
  socket.on("data", (piece: Buffer) => (text += piece.toString("latin1"))).on("error", () => {});
  socket.write(bytes);
  await once(socket, "close", { signal: AbortSignal.timeout(30_000) });
  return text;
}

/** A field that a program does not write: the connection is Node's to read. */
const odd = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

test("in a tunnel, WebSocket behind a request", async () => {
  const tunnel = `CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`;
  const first = `POST /first HTTP/1.1\r\nHost: ${at}\r\n${odd}`;
  const text = await told(`${tunnel}${first}GET /second HTTP/1.1\r\nHost: ${at}\r\n${upgrade}`);
  assert.match(text, /^HTTP\/1\.1 200 [^\r]*\r\n\r\n$/, "the tunnel, and no answer in it");
  // Where a body is still to come, Node hands over a stream of its own.
  const late = await told(`${tunnel}${first}GET /second HTTP/1.1\r\nHost: ${at}\r\nContent-Length: 5\r\n${upgrade}`);
  assert.equal(late, text);
  assert.ok(!arrived.some((request) => request.includes("/second")));
  assert.ok(place.records.some(({ detail }) => JSON.stringify(detail).includes("while an answer is owed")));
});

test("at the door, a tunnel and a session of a database behind a request", async () => {
  const first = `POST http://${at}/third HTTP/1.1\r\nHost: ${at}\r\n${odd}`;
  assert.equal(await told(`${first}CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`), "");
  const session = "GET /v1/databases HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: postgres\r\n\r\n";
  assert.equal(await told(`${first}${session}`), "");
  assert.equal(await told(`${first}${session.replace("Host: x", "Content-Length: 5")}`), "");
});

test("a request behind an answer that was told goes on in WebSocket", async () => {
  const socket = connect(place.socketPath).on("error", () => {});
  const heard = async (wanted: RegExp): Promise<void> => {
    for (let text = ""; !wanted.test(text);)
      text += String(
        (await Promise.race([once(socket, "data"), once(socket, "close").then(() => assert.fail(text))]))[0],
      );
  };
  const reached = async (path: string): Promise<Socket> => {
    while (!arrived.some((request) => request.includes(path))) await new Promise((resolve) => setTimeout(resolve, 10));
    return waiting.at(-1)!;
  };
  socket.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
  await heard(/\r\n\r\n$/);
  socket.write(`POST /fourth HTTP/1.1\r\nHost: ${at}\r\n${odd}`);
  (await reached("/fourth")).write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  await heard(/ok/);
  socket.write(`GET /fifth HTTP/1.1\r\nHost: ${at}\r\n${upgrade}`);
  (await reached("/fifth")).write("HTTP/1.1 400 no\r\nContent-Length: 2\r\n\r\nno");
  await heard(/400[^]*no/);
  socket.destroy();
});

test("a client that has gone before it is turned away", async () => {
  const refused = "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n";
  const more = [
    "GET /v1/databases HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: postgres\r\n\r\n",
    `CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`,
  ];
  for (const then of [...more, ...more]) {
    const socket = connect(place.socketPath).on("error", () => {});
    await once(socket, "connect");
    socket.write(`${refused}${then}`);
    socket.destroy();
    await once(socket, "close");
  }
  // Whoever comes after them is served.
  assert.match(await told(`GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 404/);
});

test("what cannot be written to a client that has gone is nobody's fault, whatever Node has handed over", async () => {
  const session = "GET /v1/databases HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: postgres\r\n\r\n";
  // Its own stream, and one of Node's in its place, for a body that is still to come.
  for (const bytes of [session, session.replace("Host: x", "Host: x\r\nContent-Length: 5")]) {
    const socket = connect(place.socketPath).on("error", () => {});
    await once(socket, "connect");
    entered.length = 0;
    socket.write(bytes);
    // Gone before the door reads: its answer is the first that cannot be written.
    socket.destroy();
    while (entered.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const [stream] = entered;
    if (stream && !stream.closed)
      await new Promise<void>((resolve) => void stream.on("close", () => resolve()).resume());
    assert.ok(stream?.destroyed);
  }
});

test("nothing was thrown that nobody caught", () => assert.deepEqual(crashes, []));
