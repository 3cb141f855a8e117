import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { constants, type ClientHttp2Session } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, afterEach, before, describe, it } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { openLink } from "../../../agent/relay/link.ts";
import { type Clock, systemClock } from "../../../lib/clock.ts";
import { CertificateAuthority } from "../../egress/web/certificate-authority.ts";
import { randomId } from "../../../lib/id.ts";
import { type RelayOrders, relayTls } from "../../../protocol/door-relay.ts";
import { limits } from "../../../protocol/limits.ts";
import { RelayPort, type RelayRefused } from "./relay-port.ts";

const { docker, door } = limits;
/** A relay that does not come again: its time is up after the first attempt. */
let jumpsMs = 0;
const hasty: Clock = { ...systemClock, monotonicMs: () => (jumpsMs += 2 * docker.relayLinkMs) };

describe("the port of a relay", { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "cordon-relay-"));
  const path = join(folder, "door.sock");
  const guests: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    guests.push(socket);
    socket.on("error", () => undefined);
  });
  const open: { close(): void }[] = [];
  before(async () => void (await once(server.listen(path), "listening")));
  afterEach(() => {
    for (const each of open.splice(0)) each.close();
    for (const guest of guests.splice(0)) guest.destroy();
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  async function portOf(clock: Clock = systemClock) {
    const told: RelayRefused[] = [];
    const lost = Promise.withResolvers<void>();
    const on = { lost: () => lost.resolve(), refused: (event: RelayRefused) => void told.push(event) };
    const port = new RelayPort({ door: path, id: randomId, clock, on });
    open.push(port);
    const orders = await port.listen("127.0.0.1", "127.0.0.1");
    return { port, orders, told, lost: lost.promise };
  }

  async function linkTo(orders: RelayOrders, clock: Clock = hasty): Promise<ClientHttp2Session> {
    const link = await openLink(orders, clock);
    link.on("error", () => undefined);
    open.push({ close: () => link.destroy() });
    return link;
  }

  const ask = (link: ClientHttp2Session, authority = "door") => {
    const stream = link.request({ ":method": "CONNECT", ":authority": authority });
    return stream.on("error", () => undefined);
  };

  async function guest(n = 0): Promise<Socket> {
    for (;;) {
      const found = guests[n];
      if (found) return found;
      await systemClock.sleep(2);
    }
  }

  const toldOf = async (told: readonly RelayRefused[], reason: RelayRefused["reason"]): Promise<void> => {
    while (!told.some((event) => event.reason === reason)) await systemClock.sleep(5);
  };

  it("carries both directions, each to its own end, to the door that it was made for, whatever is asked for", async () => {
    const { orders } = await portOf();
    const stream = ask(await linkTo(orders), "the-door-of-another:1");
    stream.end("question");
    const socket = await guest();
    assert.equal(await textOf(socket), "question");
    socket.end("answer");
    assert.equal(await textOf(stream), "answer");
  });

  it("breaks off what the other side has broken off", async () => {
    const { orders } = await portOf();
    const link = await linkTo(orders);
    const stream = ask(link);
    stream.write("half");
    (await guest()).destroy();
    await brokenOff(stream);
    const other = ask(link);
    other.write("half");
    const socket = await guest(1);
    other.destroy();
    await brokenOff(socket);
  });

  it("takes a key once, and from nobody else while its relay is there or when it is gone", async () => {
    const { port, orders, told, lost } = await portOf();
    const link = await linkTo(orders);
    await assert.rejects(linkTo(orders));
    await toldOf(told, "used key");
    assert.equal(ask(link).destroyed, false);
    await guest();
    link.destroy();
    await lost;
    assert.equal(port.linked, false);
    await assert.rejects(linkTo(orders));
    assert.deepEqual(new Set(told.map(({ reason }) => reason)), new Set(["used key"]));
  });

  it("takes nobody without the key: another's, one letter off, none, none in time", async () => {
    const { port, orders, told } = await portOf();
    const { orders: foreign } = await portOf();
    await assert.rejects(linkTo({ ...foreign, port: orders.port }));
    await assert.rejects(linkTo({ ...orders, key: orders.key.replace(/.$/, "_") }));
    await assert.rejects(linkTo({ ...orders, key: foreign.key }));
    await assert.rejects(linkTo({ ...orders, identity: foreign.identity }));
    await toldOf(told, "foreign key");
    const silent = connect(orders.port, "127.0.0.1");
    const plain = connect(orders.port, "127.0.0.1", () => plain.write("GET / HTTP/1.1\r\n\r\n"));
    await Promise.all([silent, plain].map((socket) => closed(socket.on("error", () => undefined).resume())));
    await toldOf(told, "no key");
    assert.equal(port.linked, false);
    assert.deepEqual(guests, []);
    // And the right one is still good.
    await linkTo(orders);
    assert.equal(port.linked, true);
  });

  it("is taken by no relay for the mesh when it does not know the key", async () => {
    const { orders } = await portOf();
    const { key, cert } = new CertificateAuthority("x", systemClock).issue(orders.host);
    for (const own of [{ pskCallback: () => Buffer.from("another") }, { pskCallback: () => null }, { key, cert }]) {
      const impostor = createTlsServer({ ...relayTls, ...own });
      impostor.on("tlsClientError", (_, socket) => socket.destroy());
      await once(impostor.listen(0, "127.0.0.1"), "listening");
      const address = impostor.address();
      assert.ok(address !== null && typeof address === "object");
      await assert.rejects(linkTo({ ...orders, port: address.port }));
      impostor.close();
    }
  });

  it("turns a crowd away, tells of it once in a while, and keeps its relay", async () => {
    let nowMs = 0;
    const { orders, told } = await portOf({ ...systemClock, monotonicMs: () => nowMs });
    const link = await linkTo(orders);
    const crowd = Array.from({ length: 4 * docker.relayConnectionsBurst }, () => connect(orders.port, "127.0.0.1"));
    for (const socket of crowd) socket.on("error", () => undefined).resume();
    await toldOf(told, "crowd");
    assert.deepEqual(told, [{ type: "relay_refused", reason: "crowd", count: 1 }]);
    const stream = ask(link);
    stream.end("still here");
    assert.equal(await textOf(await guest()), "still here");
    for (const socket of crowd) socket.destroy();
    nowMs += docker.relayRefusedWindowMs;
    await assert.rejects(linkTo(orders));
    await systemClock.sleep(0);
    assert.ok(told.every(({ count }) => count > 0));
  });

  it("survives a relay that speaks no HTTP/2, or asks for something else, and ends it alone", async () => {
    const [bad, good] = [await portOf(), await portOf()];
    const link = await linkTo(good.orders);
    const { host, port, identity, key } = bad.orders;
    const psk = { pskCallback: () => ({ identity, psk: Buffer.from(key, "latin1") }) };
    const socket = connectTls({ host, port, ...relayTls, ...psk, checkServerIdentity: () => undefined });
    socket.on("error", () => undefined).resume();
    await once(socket, "secureConnect");
    socket.write(Buffer.alloc(4_096, "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"));
    await bad.lost;
    for (const method of ["GET", "HEAD", "POST"]) {
      const stream = link.request({ ":method": method, ":path": "/" }).on("error", () => undefined);
      await brokenOff(stream);
    }
    for (let n = 0; n < 200; n++) ask(link).close(constants.NGHTTP2_CANCEL);
    const stream = ask(link);
    stream.end("still here");
    const socketOf = (text: string) => guests.find((guest) => String(guest.read() ?? "") === text);
    while (!socketOf("still here")) await systemClock.sleep(5);
    assert.ok(good.port.linked && guests.length <= 201);
  });

  it("lets no relay open more than a door takes, or leave more waiting than a connection may", async () => {
    const { orders } = await portOf();
    const link = await linkTo(orders);
    const stuck = 6;
    for (let n = 0; n < stuck; n++) ask(link).write(Buffer.alloc(64 * docker.relayStreamBytesMax));
    for (let n = 0; n < stuck; n++) (await guest(n)).pause();
    // Nobody reads at the door: what the kernel's buffers take goes on, and then no more.
    let [before, quiet] = [-1, 0];
    while (quiet < 5) {
      await systemClock.sleep(50);
      const now = link.socket.bytesWritten;
      quiet = now === before ? quiet + 1 : 0;
      before = now;
    }
    assert.ok(before < stuck * 32 * docker.relayStreamBytesMax, `${before} bytes were taken`);
    // Another one is not held back by them.
    const other = ask(link);
    other.end("quick");
    assert.equal(await textOf(await guest(stuck)), "quick");
    assert.equal(link.remoteSettings.maxConcurrentStreams, door.connectionsMax);
  });
});

/** Reads to the end, and leaves the other direction open. */
async function textOf(stream: Duplex): Promise<string> {
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += String(chunk)));
  await once(stream, "end");
  return text;
}

/** Over a Unix socket who writes learns of it. */
async function brokenOff(stream: Duplex): Promise<void> {
  stream.resume();
  while (!stream.closed) {
    stream.write("more");
    await systemClock.sleep(5);
  }
}

async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, "close");
}
