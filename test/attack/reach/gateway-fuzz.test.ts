/**
 * Bytes that no client would send, into each reader of the gateway: nothing that comes out of it upstream may be other
 * than what the rule allows, nothing breaks, and it goes on answering. CORDON_FUZZ_SECONDS makes it longer.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import fc from "fast-check";
import { systemClock } from "../../../lib/clock.ts";
import { eventually } from "../../fleet/running-mesh.ts";
import { OutsideAuthority, startOutside, startWeb, type Outside, type WebPlace } from "../../fleet/web-place.ts";
import { answerWebSockets } from "../../fleet/web-socket-server.ts";

const fuzzMs = Number(process.env["CORDON_FUZZ_SECONDS"] ?? 0) * 1_000;
const authority = new OutsideAuthority();
const secret = "canary-of-the-fuzzer-1234567";
let outside: Outside;
let wild: Server;
let wildAnswer: Buffer = Buffer.alloc(0);
let place: WebPlace;
let ca: string;
let at: string;
let wildAt: string;
const arrived: string[] = [];

before(async () => {
  outside = await startOutside(
    (request, response) => {
      arrived.push(`${request.headers.host} ${request.method} ${request.url}`);
      request.resume().on("end", () => response.end("fine"));
      request.on("error", () => {});
    },
    "api.test",
    authority,
  );
  answerWebSockets(outside.server, (text, say) => say(text.slice(0, 100)));
  wild = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(wildAnswer));
  }).listen(0, "127.0.0.1");
  await once(wild, "listening");
  at = `api.test:${outside.port}`;
  wildAt = `wild.test:${(wild.address() as AddressInfo).port}`;
  place = await startWeb({
    reach: [
      { to: `https://${at}`, methods: ["GET", "POST"], paths: ["/ok/**"], address: "127.0.0.1" },
      { to: `http://${wildAt}`, address: "127.0.0.1" },
    ],
    ca: authority.pem,
    bindings: { key: [{ to: `https://${at}`, paths: ["/ok/**"], in: "websocket" }] },
    secrets: { key: secret },
  });
  ca = await place.authority();
});

after(async () => {
  await place.close();
  await outside.close();
  wild.close();
});

/** Standard streams, and the relay's. */
const OPEN_MAX = 6;

/** All that comes back before the other side closes, or within a moment. */
async function say(socket: Socket | TLSSocket, pieces: readonly Uint8Array[], patienceMs = 300): Promise<string> {
  let text = "";
  socket.on("data", (piece: Buffer) => (text += piece.toString("latin1")));
  socket.on("error", () => {});
  const closed = once(socket, "close").catch(() => {});
  for (const piece of pieces) if (!socket.destroyed) socket.write(piece);
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, patienceMs).unref())]);
  socket.destroy();
  return text;
}

const door = (): Socket => connect(place.socketPath);

/** The door turns away who comes too fast, and so does a reader that has no patience: then once more. */
async function persistently<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await attempt();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Whether the event comes before the end. */
function comes(socket: Socket, event: "data" | "secureConnect"): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once(event, () => resolve(true)).once("close", () => resolve(false));
  });
}

const tunnel = (): Promise<Socket> =>
  persistently(async () => {
    const socket = door();
    socket.on("error", () => {});
    socket.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
    return (await comes(socket, "data")) ? socket : undefined;
  });

const secure = (protocol?: string): Promise<TLSSocket> =>
  persistently(async () => {
    const inner = connectTls({
      socket: await tunnel(),
      servername: "api.test",
      ca,
      checkServerIdentity: () => undefined,
      ...(protocol && { ALPNProtocols: [protocol] }),
    });
    inner.on("error", () => {});
    return (await comes(inner, "secureConnect")) ? inner : undefined;
  });

/** Text of a protocol with some of its pieces changed, doubled, dropped or replaced by noise. */
const garbled = (words: readonly string[]): fc.Arbitrary<Buffer> =>
  fc
    .array(
      fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(...words) },
        { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 6 }) },
      ),
      { minLength: 1, maxLength: 14 },
    )
    .map((parts) => Buffer.from(parts.join(""), "latin1"));

async function rounds<T>(
  arbitrary: fc.Arbitrary<T>,
  seed: number,
  runs: number,
  body: (value: T) => Promise<void>,
): Promise<void> {
  const started = systemClock.monotonicMs();
  for (let from = seed; ; from += 1_000) {
    await fc.assert(fc.asyncProperty(arbitrary, body), { seed: from, numRuns: runs, endOnFailure: true });
    if (systemClock.monotonicMs() - started < fuzzMs) continue;
    if (fuzzMs > 0) console.log(`executions: ${((from - seed) / 1_000 + 1) * runs}, seeds ${seed} to ${from} by 1,000`);
    return;
  }
}

async function assertWell(): Promise<void> {
  const well = Buffer.from(`GET /ok/well HTTP/1.1\r\nHost: ${at}\r\nConnection: close\r\n\r\n`);
  const text = await persistently(async () => {
    const answer = await say(await secure(), [well], 10_000);
    return answer.startsWith("HTTP/1.1 429") ? undefined : answer;
  });
  assert.match(text, /^HTTP\/1\.1 200[^]*fine/);
  assert.deepEqual(
    place.events.filter(({ type }) => type === "mesh.fault"),
    [],
  );
  // Nothing is left open of all that was begun: this process is both ends.
  const open = (): number => process.getActiveResourcesInfo().filter((each) => each === "PipeWrap").length;
  await eventually("all connections to end", () => Promise.resolve(open() <= OPEN_MAX || undefined)).catch(() =>
    assert.fail(`${open()} connections to the door are open`),
  );
  for (const line of arrived) assert.match(line, new RegExp(`^${at} (?:GET|POST) /ok/`));
  arrived.length = 0;
}

test("CONNECT", async () => {
  const words = [
    "CONNECT ",
    "GET ",
    at,
    "api.test",
    ":443",
    ":",
    "[::1]",
    "127.0.0.1",
    "@",
    "%00",
    " HTTP/1.1",
    " HTTP/1.0",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "Host: ",
    "http://",
    "Transfer-Encoding: chunked",
    "0",
  ];
  await rounds(garbled(words), 50, 60, async (bytes) => {
    const text = await say(door(), [Buffer.from("CONNECT "), bytes, Buffer.from(" HTTP/1.1\r\n\r\n")], 60);
    assert.ok(!/^HTTP\/1\.1 200/.test(text) || bytes.toString("latin1").includes(at), text);
  });
  await assertWell();
});

test("the first bytes of a tunnel", async () => {
  const hello = fc.tuple(fc.constantFrom("160301", "160303", "150302", "80", "16"), fc.uint8Array({ maxLength: 200 }));
  await rounds(hello, 51, 40, async ([head, noise]) => {
    await say(await tunnel(), [Buffer.from(head, "hex"), noise], 60);
  });
  await assertWell();
});

test("HTTP/1.1 in a tunnel: heads, lengths and chunks", async () => {
  const words = [
    ...[
      "GET ",
      "POST ",
      "PUT ",
      "/ok/a",
      "/no",
      "/ok/../no",
      " HTTP/1.1\r\n",
      `Host: ${at}\r\n`,
      "Host: evil.test\r\n",
      "Connection: close\r\n",
    ],
    ...[
      "Content-Length: 5\r\n",
      "Content-Length: 0\r\n",
      "Transfer-Encoding: chunked\r\n",
      "\r\n",
      "\r\n\r\n",
      "5\r\nhello\r\n",
      "0\r\n\r\n",
      "ffffffffff\r\n",
      "hello",
      "Expect: 100-continue\r\n",
      " folded\r\n",
    ],
  ];
  await rounds(fc.array(garbled(words), { minLength: 1, maxLength: 3 }), 52, 60, async (pieces) => {
    await say(await secure(), [Buffer.from("POST /ok/f HTTP/1.1\r\n"), ...pieces], 60);
  });
  await assertWell();
});

test("chunked bodies: what is in one is never a request", async () => {
  const inner = `GET /no/smuggled HTTP/1.1\r\nHost: ${at}\r\n\r\n`;
  const words = [
    ...["5", "05", "00000005", "5;a=b", '5;a="\r\n"', "5 ", " 5", "+5", "0x5", "ffffffffffffffff", "-1", "0", "00"],
    ...["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n\r\n", "hello", "hello", "0\r\n\r\n", "0\r\nX-A: b\r\n\r\n"],
    ...["0\r\nTransfer-Encoding: chunked\r\n\r\n", inner, `${inner.length.toString(16)}\r\n${inner}\r\n`],
  ];
  const head = `POST /ok/c HTTP/1.1\r\nHost: ${at}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  await rounds(fc.array(garbled(words), { minLength: 1, maxLength: 4 }), 56, 60, async (pieces) => {
    await say(await secure(), [Buffer.from(head), ...pieces], 60);
  });
  await assertWell();
});

test("HTTP/2 frames", async () => {
  const frame = fc
    .tuple(
      fc.nat(12),
      fc.nat(255),
      fc.constantFrom(0, 1, 2, 3, 0x7fffffff),
      fc.uint8Array({ maxLength: 60 }),
      fc.option(fc.nat(70_000), { freq: 8 }),
    )
    .map(([type, flags, stream, payload, lie]) => {
      const head = Buffer.alloc(9);
      head.writeUIntBE(lie ?? payload.length, 0, 3);
      head[3] = type;
      head[4] = flags;
      head.writeUInt32BE(stream, 5);
      return Buffer.concat([head, payload]);
    });
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
  await rounds(fc.array(frame, { maxLength: 12 }), 53, 50, async (frames) => {
    await say(await secure("h2"), [preface, ...frames], 60);
  });
  await assertWell();
});

test("WebSocket frames", async () => {
  const upgrade = Buffer.from(
    `GET /ok/s HTTP/1.1\r\nHost: ${at}\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
  );
  const start = fc.constantFrom("8185", "0185", "8085", "88", "89", "81fe", "81ff", "c185", "8105", "82fe0100");
  await rounds(
    fc.tuple(fc.array(fc.tuple(start, fc.uint8Array({ maxLength: 40 })), { maxLength: 4 }), fc.nat(60)),
    54,
    40,
    // Who goes early goes before the far end has agreed, or just then.
    async ([frames, patienceMs]) => {
      const pieces = frames.map(([head, noise]) => Buffer.concat([Buffer.from(head, "hex"), noise]));
      const text = await say(await secure(), [upgrade, ...pieces], patienceMs);
      assert.ok(!text.includes(secret));
    },
  );
  await assertWell();
});

test("answers of a far end", async () => {
  const words = [
    ...[
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 101 x\r\n",
      "HTTP/1.0 302 x\r\n",
      "HTTP/1.1 999 x\r\n",
      "HTTP/1.1 100 x\r\n\r\n",
      "Content-Length: 4\r\n",
      "Content-Length: 9\r\n",
      "Transfer-Encoding: chunked\r\n",
    ],
    ...[
      "Content-Encoding: gzip\r\n",
      "Content-Encoding: br\r\n",
      "\r\n",
      "4\r\nbody\r\n",
      "0\r\n\r\n",
      "body",
      "X-A: b\r\n",
      "X-\0: b\r\n",
      "Connection: x-a\r\n",
      secret,
      "ff\r\n",
    ],
  ];
  await rounds(garbled(words), 55, 60, async (bytes) => {
    wildAnswer = Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n"), bytes]);
    const text = await say(
      door(),
      [Buffer.from(`GET http://${wildAt}/ HTTP/1.1\r\nHost: ${wildAt}\r\nConnection: close\r\n\r\n`)],
      60,
    );
    assert.ok(!text.includes(secret), text);
  });
  await assertWell();
});
