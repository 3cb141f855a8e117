import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import { Deadlines, type Mortal } from "../../http/deadlines.ts";
import { serveHttp2 } from "./interception.ts";

/** Deadlines that come when the test says so. */
class Told extends Deadlines {
  mortal: Mortal | undefined;
  override set(mortal: Mortal, afterMs: number): void {
    assert.equal(afterMs, limits.web.sessionWatchedMs);
    this.mortal = mortal;
  }
  override clear(mortal: Mortal): void {
    if (this.mortal === mortal) this.mortal = undefined;
  }
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
/** DATA on stream 0 (RFC 9113 §6.1). */
const BROKEN = Buffer.from("\0\0\x01\0\0\0\0\0\0x", "latin1");

/** A client that takes both SETTINGS, and nothing after them. */
function begin() {
  const deadlines = new Told(systemClock);
  let written = 0;
  const socket = new Duplex({ read() {}, write: (_bytes, _encoding, done) => void (++written <= 2 && done()) });
  socket.on("error", () => {});
  serveHttp2(socket, deadlines, { asked: () => {}, unread: () => {}, passedOver: () => {} });
  return { deadlines, socket };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
};

test("a session that broke and waits for what it was writing does not hold its connection", async () => {
  const { deadlines, socket } = begin();
  socket.push(PREFACE);
  await turns();
  deadlines.mortal?.expire();
  assert.equal(socket.destroyed, false, "it stands");
  socket.push(BROKEN);
  await turns();
  assert.equal(socket.destroyed, false, "this is what Node leaves behind: without it this test shows nothing");
  deadlines.mortal?.expire();
  assert.equal(socket.destroyed, true);
  await turns();
  assert.equal(deadlines.mortal, undefined, "and nothing watches it any more");
});

test("a session that stands is asked again", async () => {
  const { deadlines, socket } = begin();
  socket.push(PREFACE);
  for (let i = 0; i < 3; i++) {
    await turns();
    assert.ok(deadlines.mortal);
    deadlines.mortal.expire();
  }
  assert.equal(socket.destroyed, false);
  socket.destroy();
});
