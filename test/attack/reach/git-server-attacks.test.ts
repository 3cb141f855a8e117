/** A server of git that is the attacker's: what it does to the mesh, and to whoever reads what it says. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { test, type TestContext } from "node:test";
import { limits } from "../../../protocol/limits.ts";
import { callDoor, startRepositoryPlace, type RepositoryPlace } from "../../fleet/repository-place.ts";
import { eventually } from "../../fleet/running-mesh.ts";

interface HostileChannel extends Duplex {
  readonly stderr: NodeJS.WritableStream;
  exit(code: number | string, dumped?: boolean, text?: string): void;
  close(): void;
}
interface HostileClient {
  on(event: string, take: (...given: never[]) => void): void;
  rekey(): void;
  end(): void;
  x11(host: string, port: number, answer: (error?: Error) => void): void;
  forwardOut(at: string, port: number, host: string, from: number, answer: (error?: Error) => void): void;
}
interface Library {
  readonly Server: new (
    options: { readonly hostKeys: readonly string[]; readonly banner?: string },
    take: (client: HostileClient) => void,
  ) => { listen(port: number, host: string, done: () => void): void; close(): void; address(): AddressInfo };
  readonly utils: {
    generateKeyPairSync(type: "ed25519"): { readonly private: string; readonly public: string };
  };
}
const { Server, utils } = createRequire(import.meta.url)("ssh2") as Library;

const hostKey = utils.generateKeyPairSync("ed25519");
const own = utils.generateKeyPairSync("ed25519");
const blob = Buffer.from(hostKey.public.split(" ")[1] ?? "", "base64");
const hostKeys = [{ sha256: createHash("sha256").update(blob).digest("base64").slice(0, 43), type: null }];
const WORDS = ["git@git.test", "git-upload-pack '/x.git'"];

async function placeAt(t: TestContext, port: number, stallMs = 20_000): Promise<RepositoryPlace> {
  const where = { host: "git.test", port, user: "git", path: "/x.git", address: "127.0.0.1" };
  const place = await startRepositoryPlace(
    [{ name: "x", ...where, hostKeys, key: "deploy", passphrase: null, push: null }],
    { deploy: own.private },
    { stallMs, connectMs: 5_000 },
  );
  t.after(() => place.close());
  return place;
}

/** In the place of git's program. */
type Behaviour = (channel: HostileChannel, client: HostileClient) => void;

async function called(
  t: TestContext,
  behave: Behaviour,
  more: { stallMs?: number; banner?: string } = {},
): Promise<string> {
  const { stallMs, ...options } = more;
  const server = new Server({ hostKeys: [hostKey.private], ...options }, (client) => {
    client.on("error", () => {});
    client.on("authentication", (asked: { accept(): void }) => asked.accept());
    client.on("session", (accept: () => HostileClient) =>
      accept().on("exec", (take: () => HostileChannel) => behave(take(), client)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  t.after(() => server.close());
  const { port } = server.address();
  const place = await placeAt(t, port, stallMs);
  const said = await callDoor(place, ["-p", String(port), ...WORDS]);
  await eventually("the evidence", async () => place.records.find(({ kind }) => kind === "git.closed"));
  const text = JSON.stringify(place.records);
  assert.ok(!text.includes("\\u001b") && text.length < 20_000, "the audit holds no word of the server");
  return said;
}

test("a flood of errors is bounded, and carries nothing that a terminal obeys", async (t) => {
  const said = await called(t, (channel) => {
    const piece = "\u001b[2J\u001b]0;owned\u0007".repeat(4_096);
    for (let i = 0; i < 64; i++) channel.stderr.write(piece);
    channel.exit(3);
    channel.end();
  });
  assert.match(said, /\?\[2J\?\]0;owned\?/);
  assert.equal(said.includes("\u001b"), false);
  assert.ok(said.length < 2 * limits.git.errorBytesMax, `${said.length}`);
});

test("its code and its output are the program's, to the last byte", async (t) => {
  const said = await called(t, (channel) => {
    channel.write("x".repeat(300_000));
    channel.exit(3);
    channel.end();
  });
  assert.equal(said.split("x").length > 300_000, true);
  assert.ok(said.endsWith("\u0003\0\0\0\u0001\u0003"));
});

test("a program that ends in the moment in which it begins, or by a signal, has told its code", async (t) => {
  const endsWith = (said: string, code: string): void =>
    assert.ok(said.endsWith(`\u0003\0\0\0\u0001${code}`), said.slice(-80));
  for (const [given, code] of [
    [7, "\u0007"],
    [4_096, "\u00ff"],
    ["SIGKILL", "\u0080"],
  ] as const)
    endsWith(
      await called(t, (channel) => {
        channel.exit(given, false, "\u001b[2J");
        channel.close();
      }),
      code,
    );
});

test("who asks for key exchanges without end is left", async (t) => {
  let exchanges = 0;
  const said = await called(t, (_channel, client) => {
    client.on("rekey", () => (exchanges++, client.rekey()));
    client.rekey();
  });
  assert.match(said, /cordon: the server closed the connection/);
  assert.ok(exchanges <= limits.git.keyExchangesMax + 1, `${exchanges}`);
});

test("no channel that the server opens is taken", async (t) => {
  const answers: string[] = [];
  await called(t, (channel, client) => {
    const note = (what: string) => (error?: Error) => {
      answers.push(`${what} ${error ? "refused" : "taken"}`);
      if (answers.length < 2) return;
      channel.exit(0);
      channel.end();
    };
    client.x11("127.0.0.1", 6_000, note("x11"));
    client.forwardOut("127.0.0.1", 80, "127.0.0.1", 80, note("port"));
  });
  assert.deepEqual(answers.toSorted(), ["port refused", "x11 refused"]);
});

test("who says nothing more, or ends without a word, is told of", async (t) => {
  assert.match(await called(t, () => {}, { stallMs: 400 }), /cordon: nothing has moved for/);
  assert.match(await called(t, (channel) => channel.close()), /cordon: the server closed the connection/);
  assert.match(await called(t, (_channel, client) => client.end()), /cordon: the server closed the connection/);
});

test("a client that reads nothing of what comes, or leaves before it has read all, ends its session, recorded", async (t) => {
  const server = new Server({ hostKeys: [hostKey.private] }, (client) => {
    client.on("error", () => {});
    client.on("authentication", (asked: { accept(): void }) => asked.accept());
    client.on("session", (accept: () => HostileClient) =>
      accept().on("exec", (take: () => HostileChannel) => void take().write(Buffer.alloc(16 * 1024 * 1024))),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  t.after(() => server.close());
  const { port } = server.address();
  for (const [leaves, stallMs, reason] of [
    [false, 400, /^"nothing has moved for/],
    [true, 60_000, /^"the (client has gone|connection broke)/],
  ] as const) {
    const place = await placeAt(t, port, stallMs);
    const deaf = connect(place.socketPath).on("error", () => {});
    t.after(() => deaf.destroy());
    deaf.write("GET /v1/repositories HTTP/1.1\r\nhost: door\r\nconnection: upgrade\r\nupgrade: git\r\n\r\n");
    deaf.write(`${JSON.stringify({ words: ["-p", String(port), ...WORDS], protocol: null })}\n`);
    let bytes = 0;
    // Twice what is held on the way: then more waits for it.
    if (leaves) deaf.on("data", (piece) => (bytes += piece.length) > 2 * 1024 * 1024 && deaf.destroy());
    const closing = await eventually("its end", async () => place.records.find(({ kind }) => kind === "git.closed"));
    assert.match(JSON.stringify(closing.detail["reason"]), reason);
    // Nothing of the session keeps the door open.
    await place.close();
  }
});

test("a banner goes nowhere", async (t) => {
  const said = await called(t, (channel) => (channel.exit(0), channel.end()), { banner: "\u001b[2Jbanner" });
  assert.equal(said.includes("banner"), false);
});

const garbage: readonly (readonly [what: string, behave: (socket: Socket) => void])[] = [
  ["no name of a protocol", (socket) => void socket.write("HTTP/1.1 400 no\r\n\r\n")],
  ["the first protocol", (socket) => void socket.write("SSH-1.5-old\r\n")],
  ["lines without an end", (socket) => void socket.write("x".repeat(1 << 20))],
  [
    "a packet of four gigabytes",
    (socket) => void socket.write(Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), Buffer.alloc(64, 0xff)])),
  ],
  [
    "a packet of nothing",
    (socket) => void socket.write(Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), Buffer.alloc(64)])),
  ],
  ["its end", (socket) => void socket.end("SSH-2.0-x\r\n")],
];
for (const [what, behave] of garbage)
  test(`no session with who begins with ${what}`, async (t) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on("error", () => {}));
      behave(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const place = await placeAt(t, port);
    assert.match(await callDoor(place, ["-p", String(port), ...WORDS]), /cordon: no connection to `x`/);
    assert.ok(place.records.every(({ kind }) => kind !== "mesh.fault"));
  });
