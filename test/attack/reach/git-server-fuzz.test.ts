/**
 * Bytes that no server of SSH would send, into the client of the broker: before its keys are made, while it says who it
 * is, and in a session. Every call ends as a session or with a fault that is named; nothing breaks, and the next one is
 * answered. CORDON_FUZZ_SECONDS makes it longer.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { connect, createServer, type AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { PrivateKeys, type SigningKey } from "../../../mesh/egress/brokers/ssh/private-key.ts";
import { callUpstream, UpstreamFault } from "../../../mesh/egress/brokers/ssh/upstream.ts";

const fuzzMs = Number(process.env["CORDON_FUZZ_SECONDS"] ?? 0) * 1_000;
const ROUNDS = 24;
const CALLS_AT_ONCE = 4;

/** What of the library's inside sends a packet of any content, encrypted as it must be. */
interface Wire {
  readonly _packetRW: {
    readonly write: { alloc(bytes: number): Buffer; readonly allocStart: number; finalize(packet: Buffer): Buffer };
  };
  readonly _cipher: { encrypt(packet: Buffer): void };
}
interface WildClient {
  readonly _protocol: Wire;
  on(event: string, take: (...given: never[]) => void): void;
  end(): void;
}
interface WildChannel {
  exit(code: number): void;
  end(): void;
}
interface Library {
  readonly Server: new (
    options: { readonly hostKeys: readonly string[] },
    take: (client: WildClient) => void,
  ) => { listen(port: number, host: string, done: () => void): void; close(): void; address(): AddressInfo };
  readonly utils: { generateKeyPairSync(type: "ed25519"): { readonly private: string; readonly public: string } };
}
const { Server, utils } = createRequire(import.meta.url)("ssh2") as Library;
const hostKey = utils.generateKeyPairSync("ed25519");
const blob = Buffer.from(hostKey.public.split(" ")[1] ?? "", "base64");
const hostKeys = [{ sha256: createHash("sha256").update(blob).digest("base64").slice(0, 43), type: null }];

/** The same numbers in each run. */
let state = 1;
function below(bound: number): number {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
  return (state >>> 8) % bound;
}

/** RFC 4250 §4.1. */
const TYPES = [
  1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31, 50, 51, 52, 53, 60, 61, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100,
];

function sendPackets({ _packetRW: { write }, _cipher: cipher }: Wire): void {
  for (let count = 0; count < 60; count++) {
    const payload = Buffer.alloc(1 + below(80));
    for (let at = 1; at < payload.length; at++) payload[at] = below(3) ? 0 : below(256);
    payload[0] = TYPES[below(TYPES.length)] ?? 0;
    // The channel that is there, and lengths that could be ones.
    if (below(2) && payload.length >= 9) payload.writeUInt32BE(below(40), payload.writeUInt32BE(0, 1));
    const packet = write.alloc(payload.length);
    payload.copy(packet, write.allocStart);
    cipher.encrypt(write.finalize(packet));
  }
}

let attack: "session" | "login" | "beginning" = "session";
let port: number;
let key: SigningKey;
const closing: (() => void)[] = [];

before(async () => {
  const own = utils.generateKeyPairSync("ed25519").private.split("\n");
  const body = own.filter((line) => !line.startsWith("--")).join("");
  const opened = await new PrivateKeys(systemClock).open("k", Buffer.from(body), null);
  assert.ok(opened.ok);
  key = opened.value;
  const server = new Server({ hostKeys: [hostKey.private] }, serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  // What it says before its keys are made passes through here, and is changed on the way.
  const between = createServer((client) => {
    const upstream = connect(server.address().port, "127.0.0.1");
    client.on("error", () => upstream.destroy()).on("close", () => upstream.destroy());
    upstream.on("error", () => client.destroy()).on("end", () => client.end());
    client.pipe(upstream);
    let bytes = 0;
    upstream.on("data", (piece: Buffer) => {
      if (attack === "beginning" && bytes < 3_000)
        for (let n = below(4); n >= 0; n--) piece[below(piece.length)] = below(256);
      bytes += piece.length;
      client.write(piece);
    });
  });
  await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve));
  ({ port } = between.address() as AddressInfo);
  closing.push(
    () => between.close(),
    () => server.close(),
  );
});
after(() => closing.forEach((close) => close()));

function serve(client: WildClient): void {
  const wild = (): void => {
    try {
      const { _protocol: wire } = client;
      sendPackets(wire);
    } catch {
      // It has gone already.
    }
  };
  client.on("error", () => {});
  client.on("authentication", (asked: { accept(): void }) => {
    if (attack === "login") wild();
    asked.accept();
  });
  client.on("session", (accept: () => WildClient) =>
    accept().on("exec", (take: () => WildChannel) => {
      const channel = take();
      if (attack === "session") wild();
      setTimeout(() => {
        channel.exit(0);
        channel.end();
        client.end();
      }, 20);
    }),
  );
}

const where = {
  name: "x",
  host: "git.test",
  user: "git",
  path: "/x",
  address: null,
  key: "k",
  passphrase: null,
  push: null,
};

/** "session", or the name of the fault. */
async function call(): Promise<string> {
  try {
    const upstream = await callUpstream({
      ...{ setting: { ...where, port, hostKeys }, addresses: ["127.0.0.1"], key, protocol: null },
      ...{ command: "git-upload-pack '/x'", timeoutMs: 1_000 },
    });
    upstream.channel.on("data", () => {});
    upstream.channel.stderr.on("data", () => {});
    await Promise.race([upstream.over, new Promise((resolve) => setTimeout(resolve, 200))]);
    upstream.close();
    return "session";
  } catch (error) {
    assert.ok(error instanceof UpstreamFault, String(error));
    return error.message;
  }
}

test("whatever a server sends ends its own session, and nothing else", async () => {
  const outcomes = new Set<string>();
  const deadline = performance.now() + fuzzMs;
  for (let round = 0; round < ROUNDS || performance.now() < deadline; round++) {
    attack = (["session", "login", "beginning"] as const)[round % 3] ?? "session";
    const ended = await Promise.all(Array.from({ length: CALLS_AT_ONCE }, call));
    for (const each of ended) outcomes.add(each);
  }
  assert.ok(outcomes.has("session") && outcomes.size >= 3, [...outcomes].join(", "));
});
