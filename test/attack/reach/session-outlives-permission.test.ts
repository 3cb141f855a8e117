/**
 * An agent opens its ways to the web first, and is at work on a step that may reach nothing, or halted, afterwards: no
 * piece more goes out or comes in, and that is evidence.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTcp, connect, type AddressInfo, type Socket } from "node:net";
import { Duplex, type DuplexOptions } from "node:stream";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import type { Work } from "../../../mesh/door/services.ts";
import { eventually } from "../../fleet/running-mesh.ts";
import { OutsideAuthority, startOutside, startWeb, type Outside, type WebPlace } from "../../fleet/web-place.ts";
import { answerWebSockets } from "../../fleet/web-socket-server.ts";

const authority = new OutsideAuthority();
const inStep = refusal("denied", "in this step `a` may not reach that", "name it under the step's `may`");
const halted = refusal("halted", "the agent is halted", "resume it");
let narrowed: Refusal | undefined;
let stopped: Refusal | undefined;
let work: Work | undefined;
let outside: Outside;
let raw: { readonly port: number; close(): void };
let place: WebPlace;
let at: string;
let rawAt: string;
let arrived = "";
/** What the far end says next on an answer that is open. */
let say = (_text: string): void => {};

before(async () => {
  outside = await startOutside(
    (request, response) => {
      request.on("data", (piece: Buffer) => (arrived += piece.toString())).on("error", () => {});
      response.on("error", () => {});
      response.writeHead(200).write("first ");
      say = (text) => void response.write(text);
      request.on("end", () => request.url === "/up" && response.end("all of it"));
    },
    "api.test",
    authority,
  );
  answerWebSockets(outside.server, (text, tell) => {
    arrived += text;
    tell(`you said ${text}`);
    say = tell;
  });
  const server = createTcp((socket) => {
    socket.on("data", (piece: Buffer) => (arrived += piece.toString("latin1"))).on("error", () => {});
    say = (text) => void socket.write(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  raw = { port: (server.address() as AddressInfo).port, close: () => void server.close() };
  at = `api.test:${outside.port}`;
  rawAt = `raw.test:${raw.port}`;
  place = await startWeb({
    reach: [
      { to: `https://${at}`, address: "127.0.0.1" },
      { to: `https://${rawAt}`, tls: "passthrough", address: "127.0.0.1" },
    ],
    ca: authority.pem,
    services: {
      decide: () => narrowed && { allow: false, refusal: narrowed },
      halted: () => stopped,
      workOf: () => work,
    },
  });
});

after(async () => {
  await place.close();
  await outside.close();
  raw.close();
});

interface Session {
  readonly socket: Socket;
  readonly got: () => string;
}

async function tunnel(to: string): Promise<Socket> {
  const socket = connect(place.socketPath);
  socket.on("error", () => {});
  socket.write(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`);
  const [head] = (await once(socket, "data")) as [Buffer];
  assert.match(head.toString(), /^HTTP\/1\.1 200/);
  return socket;
}

function heard(socket: Socket): Session {
  let text = "";
  socket.on("data", (piece: Buffer) => (text += piece.toString("latin1"))).on("error", () => {});
  return { socket, got: () => text };
}

async function secure(): Promise<Session> {
  const ca = await place.authority();
  const inner = connectTls({ socket: await tunnel(at), servername: "api.test", ca });
  await once(inner, "secureConnect");
  return heard(inner);
}

/** A ClientHello. */
function greetingFor(servername: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const write: DuplexOptions["write"] = (chunk: Buffer, _encoding, done) => {
      resolve(chunk);
      done();
    };
    connectTls({ socket: new Duplex({ read() {}, write }), servername }).on("error", () => {});
  });
}

/** A text frame of a client with a mask of zeros. */
const frame = (text: string): Buffer =>
  Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
const head = (line: string, more: readonly string[]): string =>
  [`${line} HTTP/1.1`, `Host: ${at}`, ...more, "", ""].join("\r\n");

/** Opens a way on which something has gone through, and says how more goes out on it. */
const ways: Readonly<Record<string, () => Promise<Session & { readonly send: (text: string) => void }>>> = {
  "an upload": async () => {
    const session = await secure();
    session.socket.write(`${head("POST /up", ["Transfer-Encoding: chunked"])}5\r\nbegun\r\n`);
    return { ...session, send: (text) => void session.socket.write(`${text.length.toString(16)}\r\n${text}\r\n`) };
  },
  "a websocket": async () => {
    const session = await secure();
    const key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="];
    session.socket.write(head("GET /socket", ["Upgrade: websocket", "Connection: upgrade", ...key]));
    await eventually("the upgrade", () => Promise.resolve(session.got().includes(" 101 ") || undefined));
    session.socket.write(frame("begun"));
    return { ...session, send: (text) => void session.socket.write(frame(text)) };
  },
  "a tunnel that nobody reads": async () => {
    const socket = await tunnel(rawAt);
    const session = heard(socket);
    // All that a tunnel shows is the name in its greeting.
    socket.write(await greetingFor("raw.test"));
    await eventually("its greeting", () => Promise.resolve(arrived.includes("raw.test") || undefined));
    arrived += "begun";
    return { ...session, send: (text) => void socket.write(text) };
  },
};

const narrowings: Readonly<Record<string, (on: boolean) => void>> = {
  "at work on a step": (on) => (narrowed = on ? inStep : undefined),
  halted: (on) => (stopped = on ? halted : undefined),
};

const refusals = (from: number): string =>
  JSON.stringify(place.records.slice(from).filter(({ detail }) => detail["allow"] === false));

for (const [when, narrow] of Object.entries(narrowings)) {
  for (const [name, open] of Object.entries(ways)) {
    for (const direction of ["out", "in"] as const) {
      test(`${name}, ${when}: nothing more goes ${direction}`, async () => {
        arrived = "";
        const from = place.records.length;
        const { socket, got, send } = await open();
        await eventually("a beginning", () => Promise.resolve(arrived.includes("begun") || undefined));
        let ended = false;
        socket.once("close", () => (ended = true));
        narrow(true);
        try {
          if (direction === "out") send("stolen");
          else say("poison");
          // An upload to which no answer has begun gets one: that is its end as well.
          const over = (): boolean => ended || got().startsWith("HTTP/1.1 403");
          await eventually("its end", () => Promise.resolve(over() || undefined), 20_000);
          assert.ok(!arrived.includes("stolen"), arrived);
          assert.ok(!got().includes("poison"), got());
          const reason = when === "halted" ? halted.reason : inStep.reason;
          await eventually("its evidence", () => Promise.resolve(refusals(from).includes(reason) || undefined));
        } finally {
          narrow(false);
        }
      });
    }
  }
}

test("what is sent for a step says so in its evidence, from its beginning to its end", async () => {
  const signal = new AbortController().signal;
  const about = { trace: "run_1", run: "run_1", task: "gather", attempt: 2 };
  work = { ...about, signal, scopes: [], refused: () => {}, callKey: () => "", began: () => [], ended: () => [] };
  const from = place.records.length;
  try {
    const { socket } = await secure();
    socket.write(`${head("POST /up", ["Content-Length: 4", "Connection: close"])}body`);
    await once(socket, "close");
  } finally {
    work = undefined;
  }
  const records = place.records.slice(from).filter(({ kind }) => kind.startsWith("web."));
  assert.deepEqual(new Set(records.map(({ kind }) => kind)), new Set(["web.request", "web.settled"]));
  for (const { detail } of records)
    assert.deepEqual(
      [detail["trace"], detail["run"], detail["task"], detail["attempt"]],
      ["run_1", "run_1", "gather", 2],
    );
});
