import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { connect } from "node:tls";
import fc from "fast-check";
import { systemClock } from "../../../lib/clock.ts";
import { readClientHello } from "./client-hello.ts";

/** What this Node's OpenSSL says first. */
function hello(servername: string, protocols: readonly string[] = []): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        resolve(Buffer.from(chunk));
        done();
      },
    });
    connect({ socket, servername, ALPNProtocols: [...protocols] }).on("error", () => {});
  });
}

const fuzzMs = Number(process.env["CORDON_FUZZ_SECONDS"] ?? 0) * 1_000;

test("a real ClientHello is read, whole or in records of any size, and waits for the rest", async () => {
  const bytes = await hello("api.example.org", ["h2", "http/1.1"]);
  const wanted = { ok: true, value: { serverName: "api.example.org", protocols: ["h2", "http/1.1"] } };
  assert.deepEqual(readClientHello(bytes), wanted);
  assert.deepEqual(readClientHello(Buffer.concat([bytes, Buffer.from("what follows")])), wanted);
  for (let length = 0; length < bytes.length; length++)
    assert.equal(readClientHello(bytes.subarray(0, length)), "more");
  for (const size of [1, 3, 100]) {
    const records: Buffer[] = [];
    for (let at = 5; at < bytes.length; at += size) {
      const piece = bytes.subarray(at, at + size);
      records.push(Buffer.from([22, 3, 1, piece.length >> 8, piece.length & 255]), piece);
    }
    assert.deepEqual(readClientHello(Buffer.concat(records)), wanted);
  }
  assert.deepEqual(readClientHello(await hello("")), { ok: true, value: { serverName: null, protocols: [] } });
});

/** Puts an extension at the end and mends every length around it. */
function extended(bytes: Buffer, type: number, body: Buffer): Buffer {
  const more = Buffer.concat([Buffer.from([type >> 8, type & 255, body.length >> 8, body.length & 255]), body]);
  const out = Buffer.concat([bytes, more]);
  out.writeUInt16BE(out.readUInt16BE(3) + more.length, 3);
  out.writeUIntBE(out.readUIntBE(6, 3) + more.length, 6, 3);
  let at = 9 + 2 + 32;
  at += 1 + (out[at] ?? 0);
  at += 2 + out.readUInt16BE(at);
  at += 1 + (out[at] ?? 0);
  out.writeUInt16BE(out.readUInt16BE(at) + more.length, at);
  return out;
}

test("a hidden name, a second name and two names in one are refused", async () => {
  const bytes = await hello("api.example.org");
  const bare = await hello("");
  const name = (text: string): Buffer => Buffer.concat([Buffer.from([0, 0, text.length]), Buffer.from(text)]);
  const list = (...names: readonly Buffer[]): Buffer => {
    const all = Buffer.concat(names);
    return Buffer.concat([Buffer.from([all.length >> 8, all.length & 255]), all]);
  };
  for (const type of [0xfe0d, 0xffce]) {
    const read = readClientHello(extended(bytes, type, Buffer.from([0])));
    assert.ok(read !== "more" && !read.ok && /ECH/.test(read.error));
  }
  const good = readClientHello(extended(bare, 0, list(name("one.test"))));
  assert.ok(good !== "more" && good.ok && good.value.serverName === "one.test");
  for (const [what, bad] of [
    ["again", extended(bytes, 0, list(name("evil.test")))],
    ["two names", extended(bare, 0, list(name("one.test"), name("evil.test")))],
    ["no name", extended(bare, 0, list())],
    ["an empty name", extended(bare, 0, list(name("")))],
    ["a NUL", extended(bare, 0, list(name("one.test\0.evil.test")))],
    ["bytes behind", extended(bare, 0, Buffer.concat([list(name("one.test")), Buffer.from("x")]))],
  ] as const) {
    const read = readClientHello(bad);
    assert.ok(read !== "more" && !read.ok, what);
  }
});

test("no bytes make it throw, hang or ask for more than its bound", async () => {
  const seedBytes = await hello("api.example.org", ["h2"]);
  const started = systemClock.monotonicMs();
  const change = fc.array(fc.tuple(fc.nat(seedBytes.length - 1), fc.nat(255)), { maxLength: 8 });
  let seed = 45;
  do {
    fc.assert(
      fc.property(change, fc.nat(seedBytes.length), fc.uint8Array({ maxLength: 64 }), (changes, cut, noise) => {
        const bytes = Buffer.concat([seedBytes.subarray(0, cut), noise, seedBytes.subarray(cut)]);
        for (const [at, value] of changes) bytes[at] = value;
        const read = readClientHello(bytes);
        assert.ok(read === "more" || typeof read.ok === "boolean");
        // However much follows, it makes up its mind.
        assert.notEqual(readClientHello(Buffer.concat([bytes, Buffer.alloc(70_000, 22)])), "more");
      }),
      { seed, numRuns: 2_000 },
    );
    seed++;
  } while (systemClock.monotonicMs() - started < fuzzMs);
});
