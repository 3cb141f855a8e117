/** HTTP/2 that cannot be read leaves a record, and no connection behind it stays. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { eventually } from "../../fleet/running-mesh.ts";
import { OutsideAuthority, startOutside, startWeb, type Outside, type WebPlace } from "../../fleet/web-place.ts";

const authority = new OutsideAuthority();
let outside: Outside;
let place: WebPlace;
let at: string;

before(async () => {
  outside = await startOutside((_request, response) => response.end("fine"), "api.test", authority);
  at = `api.test:${outside.port}`;
  place = await startWeb({ reach: [{ to: `https://${at}`, address: "127.0.0.1" }], ca: authority.pem });
});

after(async () => {
  await place.close();
  await outside.close();
});

async function http2(allowHalfOpen = false): Promise<{ readonly inner: TLSSocket; readonly outer: Socket }> {
  const outer = connect({ path: place.socketPath, allowHalfOpen });
  outer.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
  await once(outer, "data");
  const ca = await place.authority();
  const inner = connectTls({
    socket: outer,
    servername: "api.test",
    ca,
    ALPNProtocols: ["h2"],
    checkServerIdentity: () => undefined,
  });
  await once(inner, "secureConnect");
  for (const socket of [inner, outer]) socket.on("error", () => {});
  return { inner, outer };
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const PREFACE = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, Buffer.alloc(0))]);
/** GET, `/`, https (RFC 7541 §6.1), an authority, and more fields, as they are. */
const head = (stream: number, ...more: readonly [name: string, value: string][]): Buffer => {
  const literal = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
  const fields = more.map(([name, value]) => Buffer.concat([Buffer.from([0]), literal(name), literal(value)]));
  const to = Buffer.concat([Buffer.from([0x01]), literal(at)]);
  return frame(1, 5, stream, Buffer.concat([Buffer.from([0x82, 0x84, 0x87]), to, ...fields]));
};
const GOAWAY = frame(7, 0, 0, Buffer.alloc(8));

const unread = (): number =>
  place.records.filter(
    ({ detail }) =>
      detail["code"] === "malformed" && /cannot be read \(ERR_HTTP2/.test(JSON.stringify(detail["reason"])),
  ).length;

/** All that comes until the gateway ends it. */
async function whatComes(inner: TLSSocket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  inner.on("data", (piece: Buffer) => pieces.push(piece));
  await once(inner, "close");
  return Buffer.concat(pieces);
}

test("a stream whose head cannot be read is evidence, also the first one", async () => {
  const before = unread();
  const { inner } = await http2();
  inner.write(Buffer.concat([PREFACE, head(1), head(3, ["X-Upper", "a"])]));
  const back = (await once(inner, "data")) as [Buffer];
  assert.ok(back[0].length > 0);
  inner.end();
  await eventually("its record", () => Promise.resolve(unread() > before || undefined));
  assert.equal(unread(), before + 1);
  inner.destroy();
});

test("a stream whose head cannot be read is evidence, also when a sound one follows at once", async () => {
  const passedOver = (): number =>
    place.records.filter(({ detail }) => /left out, or cannot be read/.test(JSON.stringify(detail["reason"]))).length;
  const before = [unread(), passedOver()] as const;
  const { inner } = await http2();
  let back = Buffer.alloc(0);
  inner.on("data", (piece: Buffer) => (back = Buffer.concat([back, piece])));
  inner.write(Buffer.concat([PREFACE, head(1), head(3, ["X-Upper", "a"]), head(5), head(7)]));
  await eventually("three answers", () =>
    Promise.resolve(back.toString("latin1").split("fine").length > 3 || undefined),
  );
  await eventually("its record", () => Promise.resolve(passedOver() > before[1] || undefined));
  inner.end();
  await once(inner, "close");
  assert.deepEqual([unread(), passedOver()], [before[0], before[1] + 1]);
});

test("a frame that breaks the connection is evidence", async () => {
  const before = unread();
  const { inner } = await http2();
  inner.write(Buffer.concat([PREFACE, frame(0, 0, 0, Buffer.alloc(3))]));
  await whatComes(inner);
  await eventually("its record", () => Promise.resolve(unread() > before || undefined));
});

test("what can be read leaves no such record", async () => {
  const told = JSON.stringify(place.records).split("left out, or cannot be read").length;
  const before = unread();
  const { inner } = await http2();
  let back = Buffer.alloc(0);
  inner.on("data", (piece: Buffer) => (back = Buffer.concat([back, piece])));
  inner.write(Buffer.concat([PREFACE, head(1), head(3)]));
  await eventually("both answers", () =>
    Promise.resolve(back.toString("latin1").split("fine").length > 2 || undefined),
  );
  inner.end();
  await once(inner, "close");
  const again = await http2();
  again.inner.write(Buffer.concat([PREFACE, head(1), GOAWAY]));
  await whatComes(again.inner);
  assert.equal(unread(), before);
  assert.equal(JSON.stringify(place.records).split("left out, or cannot be read").length, told);
});

test("who says that it goes, and stays, holds no connection", async () => {
  const { inner, outer } = await http2(true);
  inner.write(Buffer.concat([PREFACE, GOAWAY]));
  inner.resume();
  // This side never ends; what is written into a connection that the other side has left breaks.
  const broken = once(outer, "close");
  const more = setInterval(() => outer.destroyed || inner.write("more"), 50);
  await broken;
  clearInterval(more);
});
