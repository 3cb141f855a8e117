/**
 * A web server that answers with heads that the client's version of HTTP cannot say: statuses without a meaning, fields
 * that may stand there once, fields that belong to a connection. Its client learns that there is no answer; nobody else
 * learns anything.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type AddressInfo, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { OutsideAuthority, startWeb, type WebPlace } from "../../fleet/web-place.ts";

const HEADS: readonly (readonly string[])[] = [
  ["HTTP/1.1 600 x"],
  ["HTTP/1.1 999 x"],
  ["HTTP/1.1 200 OK", "http2-settings: AAMAAABkAAQAAP__"],
  ...["content-type", "etag", "location", "age", "server", "retry-after", "host", "authorization", "date"].map(
    (name): readonly string[] => ["HTTP/1.1 200 OK", `${name}: 1`, `${name}: 2`],
  ),
  ["HTTP/1.1 200 OK", "te: gzip"],
  ["HTTP/1.1 200 OK", "x: \u00e9"],
  ["HTTP/1.1 200 OK", "__proto__: 1", "constructor: 1", "tostring: 1"],
  ["HTTP/1.1 200 OK", "__proto__: 1", "__proto__: 2"],
  ["HTTP/1.1 204 x", "content-length: 2"],
  ["HTTP/1.1 205 x"],
  ["HTTP/1.1 304 x"],
];

const authority = new OutsideAuthority();
const crashes: unknown[] = [];
const note = (error: unknown): void => void crashes.push(error);
let server: Server;
let port: number;
let place: WebPlace;

before(async () => {
  process.on("uncaughtException", note);
  server = createTlsServer(authority.issue("api.test"), (socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      const [, index] = /^[A-Z]+ \/(\d+) /.exec(bytes.toString("latin1")) ?? [];
      if (index === undefined) return;
      const body = HEADS[Number(index)]?.some((line) => line.startsWith("content-length")) ? [] : ["content-length: 2"];
      socket.write(Buffer.from([...(HEADS[Number(index)] ?? []), ...body, "", "ok"].join("\r\n"), "latin1"));
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  port = (server.address() as AddressInfo).port;
  place = await startWeb({ reach: [{ to: `https://api.test:${port}`, address: "127.0.0.1" }], ca: authority.pem });
});

after(async () => {
  process.off("uncaughtException", note);
  await place.close();
  server.close();
});

async function secured(protocol: string): Promise<Socket> {
  const socket = connect(place.socketPath);
  const at = `api.test:${port}`;
  socket.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
  await once(socket, "data");
  const ca = await place.authority();
  const inner = connectTls({ socket, servername: "api.test", ca, ALPNProtocols: [protocol] });
  await once(inner, "secureConnect");
  return inner;
}

async function overHttp2(path: string): Promise<string> {
  const socket = await secured("h2");
  const session = connectHttp2(`https://api.test:${port}`, { createConnection: () => socket });
  session.on("error", () => {});
  const stream = session.request({ ":path": path });
  let status = "none";
  stream.on("response", (headers) => (status = String(headers[":status"]))).on("error", () => {});
  stream.resume();
  await new Promise((resolve) => stream.once("close", resolve));
  session.destroy();
  return status;
}

/** `more` makes the mesh read the request with Node's own reader. */
async function overHttp1(path: string, more: string): Promise<string> {
  const socket = await secured("http/1.1");
  let text = "";
  socket.on("data", (bytes) => (text += bytes.toString("latin1"))).on("error", () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: api.test:${port}\r\nConnection: close\r\n${more}\r\n`);
  await new Promise((resolve) => socket.once("close", resolve));
  return text.slice(9, 12) || "none";
}

test("what a server says that cannot be said on ends its own exchange, and nothing else", async () => {
  const told: Record<string, string[]> = {};
  for (const [index, head] of HEADS.entries())
    told[head.join(" | ")] = [
      await overHttp2(`/${index}`),
      await overHttp1(`/${index}`, ""),
      await overHttp1(`/${index}`, "te: trailers\r\n"),
    ];
  assert.deepEqual(crashes, [], JSON.stringify(told));
  for (const [head, statuses] of Object.entries(told))
    for (const status of statuses) assert.match(status, /^(?:[2-9]\d\d|none)$/, head);
  const count = (wanted: string): number => place.records.filter(({ kind }) => kind === wanted).length;
  assert.ok(count("web.request") >= 3 * HEADS.length, `${count("web.request")} exchanges`);
  assert.equal(count("web.settled"), count("web.request"), "each exchange has its end in the evidence");
});
