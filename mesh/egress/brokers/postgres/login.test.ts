import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { endPoint } from "./end-point.ts";
import { errorFrame, frame, FrameReader, int32, ProtocolFault, type Frame } from "./frames.ts";
import { logIn } from "./login.ts";
import { Scram } from "./scram.ts";
import type { DatabaseSetting } from "./setting.ts";
import { readOpening } from "./startup.ts";

const setting: DatabaseSetting = {
  ...{ name: "orders", host: "db.test", port: 5432, address: "127.0.0.1", database: "shop", role: "reporter" },
  ...{ credential: "key", readOnly: true, tls: "off", ca: null, auth: "scram" },
};

// RFC 7677, section 3; the name there is no part of what PostgreSQL sends, so the proof is made with an empty one.
const NONCE = "rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST = `r=${NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;

test("SCRAM: the first message, and which mechanism is taken", () => {
  const binding = Buffer.from("digest");
  const both = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "", ""];
  assert.equal(new Scram("p", NONCE, both, null).first(), `n,,n=,r=${NONCE}`);
  const bound = new Scram("p", NONCE, both, binding);
  assert.deepEqual([bound.mechanism, bound.first()], ["SCRAM-SHA-256-PLUS", `p=tls-server-end-point,,n=,r=${NONCE}`]);
  // Who could bind and is not asked to says so: a man between who has taken the offer away is found.
  const kept = new Scram("p", NONCE, ["SCRAM-SHA-256"], binding);
  assert.deepEqual([kept.mechanism, kept.first()], ["SCRAM-SHA-256", `y,,n=,r=${NONCE}`]);
  assert.throws(() => new Scram("p", NONCE, ["SCRAM-SHA-1", "PLAIN"], null), ProtocolFault);
});

test("SCRAM: a server that does not know the password, repeats our nonce or wants endless rounds is left", async () => {
  const wrong = [
    SERVER_FIRST.replace(NONCE, "other"),
    `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
    SERVER_FIRST.replace("4096", "100000000"),
    SERVER_FIRST.replace("4096", "0"),
    `m=x,${SERVER_FIRST}`,
  ];
  for (const each of wrong) {
    const scram = new Scram("pencil", NONCE, ["SCRAM-SHA-256"], null);
    scram.first();
    await assert.rejects(scram.final(each), ProtocolFault, each);
  }
  const scram = new Scram("pencil", NONCE, ["SCRAM-SHA-256"], null);
  assert.match(await scram.final(SERVER_FIRST), /^c=biws,r=.*,p=[A-Za-z0-9+/=]{44}$/);
  for (const said of ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "e=other-error", ""])
    assert.throws(() => scram.check(said), ProtocolFault, said);
});

/** Serves one connection with `answers`, one for each message that comes, the first message being the startup. */
async function against(answers: readonly Buffer[], more: Partial<DatabaseSetting> = {}): Promise<unknown> {
  const left = [...answers];
  const server = createServer((socket: Socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(left.shift() ?? Buffer.alloc(0)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const socket = connect(port, "127.0.0.1");
  try {
    const login = { setting: { ...setting, ...more }, settings: new Map(), password: "geheim-geheim", nonce: NONCE };
    return await logIn({ socket, binding: null }, login);
  } catch (error) {
    return error;
  } finally {
    socket.destroy();
    server.close();
  }
}

const ok = frame("R", int32(0));
const told = (settings: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(Object.entries(settings).map(([name, value]) => frame("S", `${name}\0${value}\0`)));
const pinned = {
  client_encoding: "UTF8",
  standard_conforming_strings: "on",
  session_authorization: "reporter",
  default_transaction_read_only: "on",
};
const md5 = frame("R", int32(5), "salt");
const idle = frame("Z", "I");

test("a server that asks for no password, or by another way than the file's, is left", async () => {
  const cases: readonly (readonly [Buffer, RegExp])[] = [
    [Buffer.concat([ok, told(pinned), idle]), /does not ask for the password by `auth: scram`/],
    [frame("R", int32(3)), /does not ask for the password/],
    [md5, /does not ask for the password/],
    [frame("R", int32(10), "PLAIN\0\0"), /offers no SCRAM-SHA-256/],
    [errorFrame("FATAL", "28P01", "geheim-geheim", ""), /does not take the role's password/],
    [errorFrame("FATAL", "53300", "geheim-geheim", ""), /refuses the login/],
    [Buffer.concat([Buffer.from("R"), int32(0x7fffffff)]), /a message of 2147483647 bytes/],
    [frame("W"), /does not begin the login/],
  ];
  for (const [answer, fault] of cases) {
    const error = await against([answer]);
    assert.ok(error instanceof ProtocolFault, String(fault));
    assert.match(error.message, fault);
    assert.equal(error.message.includes("geheim"), false);
  }
});

test("a server that does not take, or does not tell, what is fixed for the session is left", async () => {
  const login = (settings: Readonly<Record<string, string>>) =>
    against([md5, Buffer.concat([ok, told(settings), idle])], { auth: "md5" });
  assert.equal(await login(pinned).then((session) => session instanceof Error), false);
  for (const name of Object.keys(pinned)) {
    const { [name]: _, ...without } = { ...pinned } as Record<string, string>;
    for (const settings of [without, { ...pinned, [name]: "other" }]) {
      const error = await login(settings);
      assert.ok(error instanceof ProtocolFault, name);
      assert.equal(error.message, `the server does not take the setting \`${name}\``);
    }
  }
});

test("what a certificate is known by follows the digest of its signature (RFC 5929)", () => {
  const signedWith = (oid: string): Buffer => {
    const name = Buffer.from(`06${(oid.length / 2).toString(16).padStart(2, "0")}${oid}`, "hex");
    const algorithm = Buffer.concat([Buffer.from([0x30, name.length]), name]);
    // A certificate whose signed part is long enough for a length of two bytes.
    const signed = Buffer.concat([Buffer.from("308200c8", "hex"), Buffer.alloc(200)]);
    const body = Buffer.concat([signed, algorithm]);
    return Buffer.concat([Buffer.from([0x30, 0x82, body.length >> 8, body.length & 255]), body]);
  };
  for (const [oid, digest] of [
    ["2a8648ce3d040302", "sha256"],
    ["2a8648ce3d040303", "sha384"],
    ["2a864886f70d01010d", "sha512"],
    ["2a864886f70d010105", "sha256"],
  ] as const) {
    const certificate = signedWith(oid);
    assert.deepEqual(endPoint(certificate), createHash(digest).update(certificate).digest(), oid);
  }
  // Ed25519, and what is no certificate.
  for (const none of [signedWith("2b6570"), Buffer.alloc(0), Buffer.from("30ff", "hex")])
    assert.equal(endPoint(none), null);
});

test("any bytes whatever are read to an end: a message, nothing, or a fault", async () => {
  const bytes = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(bytes, fc.boolean(), async (pieces, typed) => {
      const reader = new FrameReader(
        Readable.from(
          pieces.map((piece) => Buffer.from(piece)),
          { objectMode: true },
        ),
      );
      const read: Frame[] = [];
      try {
        for (let each = await reader.next(64, typed); each; each = await reader.next(64, typed)) read.push(each);
      } catch (error) {
        assert.ok(error instanceof ProtocolFault);
      }
      const all = Buffer.concat(pieces);
      assert.ok(all.indexOf(Buffer.concat(read.map(({ raw }) => raw))) === 0);
    }),
    { seed: 23, numRuns: 2_000 },
  );
});

test("any first messages whatever are read to an end", async () => {
  const codes = fc.constantFrom(196_608, 80_877_103, 80_877_104, 80_877_102, 131_072);
  const message = fc
    .tuple(codes, fc.string({ unit: fc.constantFrom("\0", "a", "user", "database"), maxLength: 12 }))
    .map(([code, text]) => frame("", int32(code), text));
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 4 }), async (messages) => {
      const reader = new FrameReader(Readable.from(messages, { objectMode: true }));
      try {
        await readOpening(reader, () => {});
      } catch (error) {
        assert.ok(error instanceof ProtocolFault);
      }
    }),
    { seed: 29, numRuns: 1_000 },
  );
});
