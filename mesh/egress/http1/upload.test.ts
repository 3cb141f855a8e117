import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { after, test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { Deadlines } from "../../http/deadlines.ts";
import { headBytesMax } from "../../http/fields.ts";
import { Pool, type Dial } from "./pool.ts";
import { ReadMemory } from "./read-memory.ts";
import type { Source } from "./upload.ts";

const servers: Server[] = [];
const pools: Pool[] = [];
const deadlines = new Deadlines(systemClock);
after(() => {
  for (const pool of pools) pool.destroy();
  for (const server of servers) server.close();
  deadlines.close();
});

interface Far {
  readonly pool: Pool;
  /** What came on each connection. */
  readonly came: string[];
  readonly sockets: Socket[];
}

/** A far end that answers by `act`, and a pool that reads into memory that it uses again. */
async function far(act: (socket: Socket, text: string) => void, dead = 0): Promise<Far> {
  const came: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const own = sockets.push(socket) - 1;
    came.push("");
    socket
      .on("error", () => {})
      .on("data", (bytes: Buffer) => {
        came[own] += bytes.toString("latin1");
        act(socket, came[own] ?? "");
      });
  });
  servers.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const dial: Dial = {
    choices: dead + 1,
    open(choice) {
      const memory = new ReadMemory(true);
      // Nobody listens at the addresses before the last one.
      const host = choice < dead ? `127.0.0.${choice + 2}` : "127.0.0.1";
      return { socket: connect({ host, port, onread: memory.onread }), memory };
    },
  };
  const pool = new Pool({ url: new URL("http://far.test/"), dial, keptMsMax: 600_000 }, systemClock, deadlines);
  pools.push(pool);
  return { pool, came, sockets };
}

function send(pool: Pool, head: string, source?: Source, bodiless = false): Promise<string> {
  return new Promise((resolve, reject) => {
    let told = "";
    pool.send({
      ...{ head: `${head}\r\n\r\n`, body: Buffer.alloc(0), source, firstByteMs: 60_000, quietMs: 60_000 },
      asked: { bodiless, headBytesMax },
      handler: {
        onResponseStart: (_controller, status) => void (told += status),
        onResponseData: (_controller, bytes) => void (told += ` ${bytes.toString()}`),
        onResponseEnd: () => resolve(told),
        onResponseError: (_controller, error) => reject(error),
      },
    });
  });
}

async function until(holds: () => boolean): Promise<void> {
  const began = systemClock.monotonicMs();
  while (!holds()) {
    assert.ok(systemClock.monotonicMs() - began < PATIENCE_MS, "what was waited for did not come");
    await systemClock.sleep(5);
  }
}

/** Less than a connection is kept, and more than a busy machine takes. */
const PATIENCE_MS = 60_000;

/** For longer than any test takes. */
const KEPT = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=600\r\nContent-Length: 4\r\n\r\nfine";
const FINE = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

test("a body goes as its head says: of a known length, or in chunks, and the connection is used again", async () => {
  const { pool, came, sockets } = await far(
    (socket, text) => void (/(?:hello|0\r\n\r\n)$/.test(text) && socket.write(FINE)),
  );
  const pieces = (): Readable =>
    Readable.from([Buffer.from("hel"), Buffer.alloc(0), Buffer.from("lo")], { objectMode: false });
  assert.equal(await send(pool, "POST /a HTTP/1.1", { stream: pieces(), bytes: 5 }), "200 fine");
  assert.equal(await send(pool, "POST /b HTTP/1.1", { stream: pieces(), bytes: null }), "200 fine");
  assert.equal(sockets.length, 1);
  assert.equal(came[0], "POST /a HTTP/1.1\r\n\r\nhelloPOST /b HTTP/1.1\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
});

test("a body that is not as long as its head says reaches nobody as a request of its own", async () => {
  const { pool, came } = await far(() => {});
  for (const [bytes, text] of [
    [3, "hello"],
    [9, "hello"],
  ] as const)
    await assert.rejects(send(pool, "POST / HTTP/1.1", { stream: Readable.from([Buffer.from(text)]), bytes }), {
      code: "BROKEN_REQUEST",
    });
  for (const text of came) assert.ok("POST / HTTP/1.1\r\n\r\nhello".startsWith(text), text);
});

test("of a body that breaks at its beginning nothing is seen, and later no end", async () => {
  const { pool, came } = await far(() => {});
  for (const first of ["", "begun"]) {
    const stream = new PassThrough().on("error", () => {});
    const asked = send(pool, "POST / HTTP/1.1", { stream, bytes: null });
    if (first !== "") stream.write(first);
    await until(() => came.join("").includes(first));
    stream.destroy(new Error("refused"));
    // A body that breaks before there is a connection has no error to tell any more.
    await assert.rejects(asked, first === "" ? /ended early/ : /refused/);
  }
  assert.equal(came.join(""), "POST / HTTP/1.1\r\n\r\n5\r\nbegun\r\n");
});

test("an answer that comes before the end of the body is told, and its connection is not used again", async () => {
  const { pool, sockets } = await far((socket, text) => void (text.includes("begun") && socket.write(FINE)));
  const stream = new PassThrough();
  const asked = send(pool, "POST / HTTP/1.1", { stream, bytes: null });
  stream.write("begun");
  assert.equal(await asked, "200 fine");
  stream.end("more");
  assert.equal(await send(pool, "POST /begun HTTP/1.1"), "200 fine");
  assert.equal(sockets.length, 2);
});

test("a body comes no faster than the other end takes it", async () => {
  const { pool, sockets } = await far(() => {});
  const piece = Buffer.alloc(65_536);
  let made = 0;
  const stream = new Readable({
    read() {
      made += piece.length;
      this.push(made > 64 * 1_048_576 ? null : piece);
    },
  });
  const asked = send(pool, "POST / HTTP/1.1", { stream, bytes: null });
  await until(() => sockets.length > 0);
  sockets[0]?.pause();
  let before = -1;
  while (made !== before) {
    before = made;
    await systemClock.sleep(300);
  }
  assert.ok(made < 32 * 1_048_576, `${made} bytes were taken from it`);
  sockets[0]?.destroy();
  await assert.rejects(asked);
});

test("the answer to HEAD ends with its head, whatever length that says", async () => {
  const { pool, sockets } = await far((socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"));
  assert.equal(await send(pool, "HEAD /a HTTP/1.1", undefined, true), "200");
  assert.equal(await send(pool, "HEAD /b HTTP/1.1", undefined, true), "200");
  assert.equal(sockets.length, 1);
});

test("addresses are tried one after the other", async () => {
  const { pool } = await far((socket) => void socket.write(FINE), 2);
  assert.equal(await send(pool, "GET / HTTP/1.1"), "200 fine");
});

test("a pool that is given up ends what is under way, and keeps nothing", async () => {
  const { pool, sockets } = await far((socket, text) => void (text.includes("now") && socket.write(KEPT)));
  const stream = new PassThrough();
  const asked = send(pool, "POST / HTTP/1.1", { stream, bytes: null });
  stream.write("begun");
  await until(() => sockets.length > 0);
  pool.retire();
  stream.end("now");
  assert.equal(await asked, "200 fine");
  const [socket] = sockets;
  await until(() => socket?.readableEnded === true || socket?.destroyed === true);
});
