/**
 * What a connection reads into is used again for its next read. Two sandboxes at once, on many connections each, over
 * every front, with readers that pause and far ends that write in pieces of any size: each byte that comes is the one that
 * was sent to this reader, at its place.
 */
import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { gunzipSync, gzipSync } from "node:zlib";
import { AnswerReader } from "../../../mesh/http/answer-reader.ts";
import { OutsideAuthority, startWeb, type WebPlace } from "../../fleet/web-place.ts";

const ANSWER_BYTES = 500_000;
const authority = new OutsideAuthority();
const servers: Server[] = [];
const places: WebPlace[] = [];
let plainPort: number;
let securePort: number;
let unreadPort: number;

/** Known at each place, and nothing like that of another key. */
function keyed(key: string): Buffer {
  const cipher = createCipheriv(
    "aes-128-ctr",
    createHash("sha256").update(key).digest().subarray(0, 16),
    Buffer.alloc(16),
  );
  return cipher.update(Buffer.alloc(ANSWER_BYTES));
}

/** Of a test, not of a secret: the same for each key in each run. */
function dice(key: string): (below: number) => number {
  let state = createHash("sha256").update(`dice ${key}`).digest().readUInt32BE(0);
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

/** `/KEY/FRAMING/CODING`: the whole answer, in pieces that keep to no border of its framing. */
function answer(socket: Socket, request: string): void {
  const [, key = "", framing = "", coding = ""] = /^[A-Z]+ \/([^/]+)\/([^/]+)\/([^/ ]+)/.exec(request) ?? [];
  const roll = dice(key);
  const body = coding === "gzip" ? gzipSync(keyed(key), { level: 1 }) : keyed(key);
  const fields = [
    "HTTP/1.1 200 OK",
    "x-filler: ".padEnd(300, "f"),
    ...(coding === "gzip" ? ["content-encoding: gzip"] : []),
  ];
  const parts: Buffer[] = [];
  if (framing === "sized")
    parts.push(Buffer.from([...fields, `content-length: ${body.length}`, "", ""].join("\r\n")), body);
  else {
    parts.push(Buffer.from([...fields, "transfer-encoding: chunked", "", ""].join("\r\n")));
    for (let at = 0; at < body.length;) {
      const piece = body.subarray(at, (at += 1 + roll(40_000)));
      parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
    }
    parts.push(Buffer.from("0\r\n\r\n"));
  }
  const whole = Buffer.concat(parts);
  let at = 0;
  const more = (): void => {
    let goesOn = true;
    // Several at once: what is read of TLS in one turn is more than one piece.
    for (let left = 1 + roll(6); left > 0 && at < whole.length && !socket.destroyed; left--) {
      const end = at + 1 + roll(roll(4) === 0 ? 90_000 : 3_000);
      goesOn = socket.write(whole.subarray(at, end));
      at = end;
    }
    if (at >= whole.length) return;
    if (goesOn) setImmediate(more);
    else socket.once("drain", more);
  };
  more();
}

const MIB = 1_048_576;
/** Bytes that the far end got rid of, by lane. */
const poured = new Map<string, number>();

/** `/pour/LANE`: as much as is taken. */
function pour(socket: Socket, lane: string): void {
  const piece = Buffer.alloc(65_536);
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${POURED_BYTES}\r\n\r\n`);
  let left = POURED_BYTES;
  const more = (): void => {
    for (let goesOn = true; goesOn && left > 0 && !socket.destroyed;) {
      left -= piece.length;
      goesOn = socket.write(piece);
      poured.set(lane, POURED_BYTES - left - socket.writableLength);
    }
    if (left > 0) socket.once("drain", more);
  };
  more();
}
const POURED_BYTES = 256 * MIB;

const serve = (socket: Socket): void => {
  let text = "";
  socket
    .on("error", () => {})
    .on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      if (!text.includes("\r\n\r\n")) return;
      const lane = /^GET \/pour\/(\S+)/.exec(text)?.[1];
      if (lane === undefined) answer(socket, text);
      else pour(socket, lane);
      text = "";
    });
};

before(async () => {
  const secured = (): Server => createTlsServer(authority.issue("api.test"), serve);
  servers.push(createServer(serve), secured(), secured());
  [plainPort, securePort, unreadPort] = (await Promise.all(
    servers.map(async (server) => {
      await once(server.listen(0, "127.0.0.1"), "listening");
      return (server.address() as AddressInfo).port;
    }),
  )) as [number, number, number];
  const reach = [
    { to: `http://api.test:${plainPort}`, address: "127.0.0.1" },
    { to: `https://api.test:${securePort}`, address: "127.0.0.1" },
    { to: `https://api.test:${unreadPort}`, address: "127.0.0.1", tls: "passthrough" as const },
  ];
  places.push(
    await startWeb({ reach, ca: authority.pem }),
    await startWeb({
      ...{ reach, ca: authority.pem, secrets: { key: "a-credential-of-usual-length" } },
      bindings: { key: [{ to: `https://api.test:${securePort}`, in: { header: "authorization" } }] },
    }),
  );
});

after(async () => {
  for (const place of places) await place.close();
  for (const server of servers) server.close();
});

async function tunnel(place: WebPlace, port: number): Promise<Socket> {
  const socket = connect(place.socketPath);
  const at = `api.test:${port}`;
  socket.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
  const [told] = (await once(socket, "data")) as [Buffer];
  assert.match(told.toString(), /^HTTP\/1\.1 200/);
  return socket;
}

async function secured(place: WebPlace, protocol: string, port = securePort): Promise<Socket> {
  // In a tunnel that nobody reads it is the far end itself that answers.
  const ca = port === unreadPort ? authority.pem : await place.authority();
  const options = { servername: "api.test", ca, ALPNProtocols: [protocol], checkServerIdentity: () => undefined };
  const inner = connectTls({ socket: await tunnel(place, port), ...options });
  await once(inner, "secureConnect");
  return inner;
}

/** A reader that stands still now and then, so that what was read for it waits in the mesh. */
function read(socket: Socket, key: string): Promise<{ readonly body: Buffer; readonly gzip: boolean }> {
  const roll = dice(`reader ${key}`);
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly body: Buffer; readonly gzip: boolean }>();
  const pieces: Buffer[] = [];
  let gzip = false;
  const reader = new AnswerReader({
    head: (status, fields) => {
      if (status !== 200) reject(new Error(`status ${status}`));
      gzip = fields["content-encoding"] === "gzip";
    },
    data: (bytes) => void pieces.push(Buffer.from(bytes)),
    end: () => resolve({ body: Buffer.concat(pieces), gzip }),
  });
  socket.on("error", reject).on("close", () => reject(new Error("it ended early")));
  socket.on("data", (bytes: Buffer) => {
    const fault = reader.push(bytes);
    if (fault !== undefined) reject(new Error(fault));
    if (roll(6) > 0) return;
    socket.pause();
    setTimeout(() => socket.resume(), roll(15));
  });
  return promise.finally(() => socket.destroy());
}

async function overHttp2(session: ClientHttp2Session, path: string): Promise<{ body: Buffer; gzip: boolean }> {
  const stream = session.request({ ":path": path, ":authority": `api.test:${securePort}` });
  const roll = dice(`reader ${path}`);
  const pieces: Buffer[] = [];
  let gzip = false;
  stream.on("response", (head) => (gzip = head["content-encoding"] === "gzip"));
  stream.on("data", (bytes: Buffer) => {
    pieces.push(bytes);
    if (roll(6) > 0) return;
    stream.pause();
    setTimeout(() => stream.resume(), roll(15));
  });
  await once(stream, "end");
  return { body: Buffer.concat(pieces), gzip };
}

/** `TE` takes a connection to Node's reader. */
const fronts = { own: "", node: "TE: trailers\r\n" } as const;

test("a reader that stands still holds up the far end, not the mesh's memory", async () => {
  const [place] = places;
  assert.ok(place);
  const lanes = Object.entries(fronts).flatMap(([front, field]) =>
    (["http", "https", "unread"] as const).map(async (scheme) => {
      const port = { http: plainPort, https: securePort, unread: unreadPort }[scheme];
      const socket = scheme === "http" ? await tunnel(place, port) : await secured(place, "http/1.1", port);
      socket
        .on("error", () => {})
        .write(`GET /pour/${front}-${scheme} HTTP/1.1\r\nHost: api.test:${port}\r\n${field}\r\n`);
      await once(socket, "readable");
      return socket;
    }),
  );
  const sockets = await Promise.all(lanes);
  // Nobody reads: what moves is on its way into buffers, and comes to a stop.
  for (let before = ""; before !== [...poured.values()].join();) {
    before = [...poured.values()].join();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  for (const [lane, bytes] of poured) assert.ok(bytes < 32 * MIB, `${lane}: ${bytes} bytes went into buffers`);
  assert.equal(poured.size, 6);
  for (const socket of sockets) socket.destroy();
});

test("each reader gets the bytes that were sent to it", async () => {
  const rounds = places.flatMap((place, sandbox) =>
    ["sized", "chunked"].flatMap((framing) =>
      ["plain", "gzip"].map(async (coding) => {
        const pathOf = (lane: string): string => `/${sandbox}-${lane}-${framing}-${coding}/${framing}/${coding}`;
        const keyOf = (path: string): string => path.split("/")[1] ?? "";
        const check = (path: string, { body, gzip }: { readonly body: Buffer; readonly gzip: boolean }): void => {
          const plain = gzip ? gunzipSync(body) : body;
          assert.ok(plain.equals(keyed(keyOf(path))), `${path}: ${plain.length} bytes, and not those that were sent`);
        };
        const lanes = Object.entries(fronts).flatMap(([front, field]) =>
          ["http", "https", "unread"].map(async (scheme) => {
            const port = { http: plainPort, https: securePort, unread: unreadPort }[scheme] ?? 0;
            const path = pathOf(`${front}-${scheme}`);
            const socket = scheme === "http" ? await tunnel(place, port) : await secured(place, "http/1.1", port);
            socket.write(`GET ${path} HTTP/1.1\r\nHost: api.test:${port}\r\n${field}\r\n`);
            check(path, await read(socket, path));
          }),
        );
        const inner = await secured(place, "h2");
        const session = connectHttp2(`https://api.test:${securePort}`, { createConnection: () => inner });
        const path = pathOf("h2");
        lanes.push(
          overHttp2(session, path)
            .then((got) => check(path, got))
            .finally(() => session.destroy()),
        );
        await Promise.all(lanes);
      }),
    ),
  );
  await Promise.all(rounds);
  assert.deepEqual(
    places.flatMap(({ events }) => events.filter(({ type }) => type === "mesh.fault")),
    [],
  );
});
