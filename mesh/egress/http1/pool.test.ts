import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer, type ConnectionOptions } from "node:tls";
import type { Dispatcher } from "undici";
import { systemClock, type Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import { Deadlines } from "../../http/deadlines.ts";
import { Turns } from "../../http/turns.ts";
import { stillClock } from "../../http/testing/still-clock.ts";
import { AnswerRelay, type Outcome } from "../answer-relay.ts";
import { wasNotSent } from "../failures.ts";
import type { Provider } from "../providers.ts";
import { AnthropicMeter } from "../wire/anthropic-meter.ts";
import { CertificateAuthority } from "../web/certificate-authority.ts";
import { Pool } from "./pool.ts";
import { ReadBuffer } from "./read-buffer.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-http1-"));
const servers: Server[] = [];
const pools: Pool[] = [];
after(() => {
  for (const pool of pools) pool.destroy();
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

/** A server that hands every request to `act`, as text, with the number of its connection. */
async function serve(
  act: (socket: Socket, text: string, connection: number) => void,
  clock: Clock = systemClock,
  connectionsMax?: number,
  turns?: Turns,
) {
  let connections = 0;
  const path = join(folder, `${servers.length}.sock`);
  const server = createServer((socket) => {
    const own = connections++;
    socket.on("error", () => {}).on("data", (bytes) => act(socket, bytes.toString("latin1"), own));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const pool = new Pool(
    { url: new URL("http://upstream/"), socketPath: path, ...(turns && { turns }) },
    clock,
    new Deadlines(clock),
    connectionsMax,
  );
  pools.push(pool);
  return { pool, connections: () => connections };
}

interface Told {
  readonly status?: number;
  readonly body?: string;
  readonly error?: NodeJS.ErrnoException;
}

/** Asks, and resolves with what was told; `onData` may hold the reins. */
function ask(
  pool: Pool,
  {
    body = "{}",
    path = "/v1/x",
    headers = {},
    firstByteMs = 5_000,
    stands,
  }: {
    body?: string;
    path?: string;
    headers?: Record<string, string>;
    firstByteMs?: number;
    stands?: () => boolean;
  } = {},
  onData: (controller: Dispatcher.DispatchController, bytes: Buffer) => void = () => {},
): Promise<Told> {
  const { promise, resolve } = Promise.withResolvers<Told>();
  let status = 0;
  let text = "";
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart() {},
    onResponseStart: (_controller, code) => void (status = code),
    onResponseData(controller, bytes) {
      text += bytes.toString("latin1");
      onData(controller, bytes);
    },
    onResponseEnd: () => resolve({ status, body: text }),
    onResponseError: (_controller, error) => resolve({ error }),
  };
  pool.send(pool.sendingOf({ path, headers, body: Buffer.from(body) }, firstByteMs, handler, stands));
  return promise;
}

const answer = (body: string, more = ""): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${more}content-length: ${body.length}\r\n\r\n${body}`;
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test("a request is written as one, and its connection is used again", async () => {
  const asked: string[] = [];
  const { pool, connections } = await serve((socket, text) => {
    asked.push(text);
    socket.write(answer("[1]"));
  });
  for (let n = 0; n < 3; n++)
    assert.deepEqual(await ask(pool, { headers: { "x-a": "b" } }), { status: 200, body: "[1]" });
  assert.equal(connections(), 1);
  assert.equal(
    asked[0],
    "POST /v1/x HTTP/1.1\r\nhost: upstream\r\nconnection: keep-alive\r\nx-a: b\r\ncontent-length: 2\r\n\r\n{}",
  );
  const large = "x".repeat(300_000);
  let got = 0;
  const big = await serve((socket, text) => {
    got += text.length;
    if (text.endsWith("x!")) socket.write(answer("[2]"));
  });
  assert.equal((await ask(big.pool, { body: `${large}!` })).body, "[2]");
  assert.ok(got > large.length);
});

test("nothing becomes a second line of a head", async () => {
  const { pool, connections } = await serve((socket) => socket.write(answer("[]")));
  for (const wrong of [
    { headers: { authorization: "Bearer a\r\nx-b: c" } },
    { headers: { "x-a\r\nx-b": "c" } },
    { headers: { "x-a": "\u0100" } },
    { path: "/v1 HTTP/1.1\r\nx-a: b" },
    { path: "v1" },
  ])
    assert.throws(() => void ask(pool, wrong), { code: "ERR_INVALID_CHAR" });
  assert.equal(connections(), 0);
});

test("a connection is not used again after what it must not carry another answer behind", async () => {
  for (const first of [
    answer("[1]", "connection: close\r\n"),
    `${answer("[1]")}HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n[forged]`,
    answer("[1]", "keep-alive: timeout=1\r\n"),
  ]) {
    const { pool, connections } = await serve((socket) => socket.write(first));
    assert.equal((await ask(pool)).body, "[1]");
    assert.equal((await ask(pool)).body, "[1]");
    assert.equal(connections(), 2, first);
  }
});

test("an answer that nobody asked for closes its connection", async () => {
  const { pool, connections } = await serve((socket) => {
    socket.write(answer("[1]"));
    setTimeout(() => socket.write(answer("[forged]")), 1);
  });
  assert.equal((await ask(pool)).body, "[1]");
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal((await ask(pool)).body, "[1]");
  assert.equal(connections(), 2);
});

test("an answer that is broken, malformed or cut off is an error, and may have been sent", async () => {
  for (const [what, code] of [
    ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "MALFORMED_ANSWER"],
    ["HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort", "ECONNRESET"],
    ["", "ECONNRESET"],
  ] as const) {
    const { pool } = await serve((socket) => void socket.end(what));
    const { error } = await ask(pool);
    assert.ok(error && error.code === code && !wasNotSent(error), `${what}: ${String(error)}`);
  }
});

test("what was never sent is known as such", async () => {
  const clock = systemClock;
  const nobody = new Pool({ url: new URL("http://x/"), socketPath: join(folder, "none") }, clock, new Deadlines(clock));
  pools.push(nobody);
  const { error } = await ask(nobody);
  assert.ok(error && wasNotSent(error) && error.code === "ENOENT");
});

test("an abort closes the connection at once, and a stale hand does nothing to the next exchange", async () => {
  const closed = Promise.withResolvers<void>();
  let stale: Dispatcher.DispatchController | undefined;
  const { pool } = await serve((socket, _text, connection) => {
    if (connection === 0) socket.once("close", () => closed.resolve()).write(`${answer("[12345]").slice(0, -2)}`);
    else socket.write(answer("[2]"));
  });
  let told: Told | undefined;
  void ask(pool, {}, (controller) => controller.abort(new Error("gone"))).then((got) => (told = got));
  await closed.promise;
  await turn();
  assert.equal(told, undefined, "who has let go is told nothing");
  assert.equal((await ask(pool, {}, (controller) => (stale = controller))).body, "[2]");
  const next = ask(pool);
  stale?.abort(new Error("too late"));
  stale?.pause();
  assert.equal((await next).body, "[2]");
});

test("what waits for its turn of the loop comes whole, in order, and before the end of its connection", async () => {
  let nowMs = 0;
  // No turn has time for a second piece of anything.
  const turns = new Turns({ ...systemClock, monotonicMs: () => (nowMs += 10) });
  const words = Array.from({ length: 60 }, (_, n) => `[word ${n} of ${"many ".repeat(n)}]`);
  const whole = words.join("");
  const { pool, connections } = await serve(
    (socket, text) => {
      const breaks = text.includes("break");
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${whole.length + (breaks ? 1 : 0)}\r\n\r\n`);
      const next = (at: number): void => {
        const word = words[at];
        if (word === undefined) return void (breaks && socket.end());
        socket.write(word);
        setImmediate(() => next(at + 1));
      };
      next(0);
    },
    systemClock,
    undefined,
    turns,
  );
  for (let round = 0; round < 3; round++) {
    let seen = "";
    const told = await Promise.all([
      ...Array.from({ length: 8 }, () => ask(pool)),
      ask(pool, { body: "break" }, (_controller, bytes) => (seen += bytes.toString("latin1"))),
    ]);
    assert.ok(told.slice(0, 8).every(({ status, body }) => status === 200 && body === whole));
    assert.deepEqual([told[8]?.error?.code, seen], ["ECONNRESET", whole]);
  }
  assert.ok(connections() <= 8 + 3, "and each connection is used again");
});

test("what a handler cannot read of a whole answer ends its exchange, and nothing else", async () => {
  // A plain answer of a model that was asked for such words for a tool: V8 writes names that are numbers by recursion.
  const depth = 20_000;
  const input = `${'{"1":'.repeat(depth)}1${"}".repeat(depth)}`;
  const body = `{"content":[{"type":"tool_use","id":"a","name":"b","input":${input}}],"usage":{}}`;
  const { pool, connections } = await serve((socket) => socket.write(answer(body)));
  const ended = Promise.withResolvers<Outcome>();
  const relay = new AnswerRelay(
    {
      provider: { name: "p", baseUrl: "http://upstream/" } as Provider,
      ...{ meter: new AnthropicMeter(), stream: false, outputTokensMax: 1e9, injection: null },
    },
    { head() {}, write: () => true, drained() {} },
    ended.resolve,
  );
  pool.send(pool.sendingOf({ path: "/x", headers: {}, body: Buffer.from("{}") }, 5_000, relay));
  const outcome = await ended.promise;
  assert.deepEqual([outcome.kind, outcome.billed], ["failed", "unknown"]);
  assert.deepEqual([(await ask(pool)).status, connections()], [200, 1]);
});

test("over TLS the end of a connection comes with its last bytes, and after them", async () => {
  let nowMs = 0;
  const turns = new Turns({ ...systemClock, monotonicMs: () => (nowMs += 10) });
  const authority = new CertificateAuthority("own", systemClock);
  const body = "x".repeat(40_000);
  for (const head of [`content-length: ${body.length}\r\n`, ""]) {
    const server = createTlsServer(authority.issue("localhost"), (socket) =>
      socket.on("error", () => {}).once("data", () => socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`)),
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const memory = new ReadBuffer();
    const open = () => {
      const { onread, memory: own } = memory.share();
      const to = { host: "127.0.0.1", port, servername: "localhost", ca: authority.pem, onread };
      return { socket: connectTls(to as ConnectionOptions), memory: own };
    };
    const url = new URL(`https://localhost:${port}/`);
    const pool = new Pool({ url, turns, dial: { choices: 1, open } }, systemClock, new Deadlines(systemClock));
    pools.push(pool);
    const told = await Promise.all(Array.from({ length: 12 }, () => ask(pool)));
    for (const one of told) assert.deepEqual([one.status, one.body?.length, one.error], [200, body.length, undefined]);
  }
});

test("a paused answer is not read on, and its connection not used again before its end", async () => {
  const { pool } = await serve((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n`);
    socket.write(Buffer.alloc(4_000_000, "x"));
  });
  let held: Dispatcher.DispatchController | undefined;
  let bytes = 0;
  const whole = ask(pool, {}, (controller, piece) => {
    bytes += piece.length;
    if (!held) (held = controller).pause();
  });
  for (let n = 0; n < 20; n++) await turn();
  const before = bytes;
  assert.ok(before <= 65_536, `${before} bytes`);
  held?.resume();
  assert.equal((await whole).body?.length, 4_000_000);
});

test("no more connections than there may be: who comes later waits, and is served, also when others break", async () => {
  const waiting: { readonly socket: Socket; readonly text: string }[] = [];
  const { pool, connections } = await serve((socket, text) => void waiting.push({ socket, text }), systemClock, 2);
  const all = Array.from({ length: 7 }, (_, n) => ask(pool, { path: `/${n}` }));
  for (let served = 0; served < 7; served++) {
    while (waiting.length === 0) await turn();
    assert.ok(waiting.length <= 2);
    const { socket, text } = waiting.shift()!;
    if (text.includes("/3")) socket.destroy();
    else socket.write(answer(JSON.stringify(/\/\d/.exec(text))));
  }
  const told = await Promise.all(all);
  assert.deepEqual(
    told.map(({ body, error }) => body ?? error?.code),
    ['["/0"]', '["/1"]', '["/2"]', "ECONNRESET", '["/4"]', '["/5"]', '["/6"]'],
  );
  assert.equal(connections(), 3);
});

test("a credential that was revoked while its request waited for a connection is not sent, and the others are", async () => {
  const waiting: { readonly socket: Socket; readonly text: string }[] = [];
  const { pool } = await serve((socket, text) => void waiting.push({ socket, text }), systemClock, 1);
  let isRevoked = false;
  const stands = (): boolean => !isRevoked;
  const all = ["/0", "/1", "/2"].map((path) => ask(pool, { path, ...(path === "/1" && { stands }) }));
  while (waiting.length === 0) await turn();
  isRevoked = true;
  const served: string[] = [];
  for (let n = 0; n < 2; n++) {
    while (waiting.length === 0) await turn();
    const { socket, text } = waiting.shift()!;
    served.push(/\/\d/.exec(text)?.[0] ?? "");
    socket.write(answer("{}"));
  }
  const [first, second, third] = await Promise.all(all);
  assert.deepEqual([first?.body, second?.error?.code, third?.body], ["{}", "CREDENTIAL_REVOKED", "{}"]);
  assert.ok(second?.error && wasNotSent(second.error));
  assert.deepEqual(served, ["/0", "/2"]);
  // One that is idle is not used for it, either.
  const late = await ask(pool, { stands });
  assert.equal(late.error?.code, "CREDENTIAL_REVOKED");
  assert.equal(waiting.length, 0);
});

test("before a server has shown who it is, not a byte is given to it", async () => {
  const { key, cert } = new CertificateAuthority("stranger", systemClock).issue("localhost");
  let bytes = 0;
  const server = createTlsServer({ key, cert }, (socket) => void socket.on("data", (got) => (bytes += got.length)));
  server.on("tlsClientError", () => {});
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const pool = new Pool({ url: new URL(`https://localhost:${port}/`) }, systemClock, new Deadlines(systemClock));
  pools.push(pool);
  const { error } = await ask(pool, { headers: { authorization: "Bearer secret" } });
  assert.ok(error && wasNotSent(error) && /CERT|SELF_SIGNED|VERIFY/.test(String(error.code)), String(error?.code));
  assert.equal(bytes, 0);
});

test("a head that does not come, a body that stops, and an idle connection have their time", async () => {
  const clock = stillClock();
  const closed: number[] = [];
  const { pool } = await serve((socket, text, connection) => {
    socket.once("close", () => closed.push(connection));
    if (text.includes("/head")) return;
    socket.write(text.includes("/body") ? answer("[12345]").slice(0, -2) : answer("[1]"));
  }, clock);
  /** A limit that is not there must fail, and not wait for ever. */
  const ends = async (answer: Promise<unknown>): Promise<void> => {
    const mostMs = clock.nowMs() + 10 * limits.model.idleTimeoutMs;
    while ((await Promise.race([answer, turn().then(() => undefined)])) === undefined) {
      assert.ok(clock.nowMs() < mostMs, "nothing has ended it");
      await clock.move(1_000);
    }
  };
  const head = ask(pool, { path: "/head" });
  await ends(head);
  assert.equal((await head).error?.code, "HEAD_TIMEOUT");
  assert.ok(clock.nowMs() >= 5_000);
  const began = clock.nowMs();
  const body = ask(pool, { path: "/body" });
  await ends(body);
  assert.equal((await body).error?.code, "BODY_TIMEOUT");
  assert.ok(clock.nowMs() - began >= limits.model.idleTimeoutMs);
  assert.equal((await ask(pool)).body, "[1]");
  const idleFrom = clock.nowMs();
  while (!closed.includes(2)) {
    assert.ok(clock.nowMs() - idleFrom < limits.http.idleMs, "before the server closes it");
    await clock.move(500);
    await turn();
  }
  assert.ok(clock.nowMs() - idleFrom < limits.http.idleMs, "before the server closes it");
});

test("a body has its time from its head and from each piece on, however long a head may be waited for", async () => {
  const clock = stillClock();
  const whole = answer("[12]");
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<Socket>();
  const { pool } = await serve((socket, text) => {
    if (text.includes("/body")) socket.write(answer("[12]").slice(0, -2));
    else isAsked(socket);
  }, clock);
  const told = ask(pool, { firstByteMs: 10 * limits.model.idleTimeoutMs });
  const socket = await asked;
  const waitMs = limits.model.idleTimeoutMs - 1_000;
  for (const piece of [whole.slice(0, -4), "[", "1"]) {
    await clock.move(waitMs);
    socket.write(piece);
    await turn();
  }
  await endsIn(told, limits.model.idleTimeoutMs);

  // While its reader pauses it, the time stands still; it begins anew when it goes on.
  const held = Promise.withResolvers<Dispatcher.DispatchController>();
  const later = ask(pool, { path: "/body" }, (controller) => {
    controller.pause();
    held.resolve(controller);
  });
  const controller = await held.promise;
  await clock.move(3.5 * limits.model.idleTimeoutMs);
  controller.resume();
  await endsIn(later, limits.model.idleTimeoutMs);

  /** Not before, and not much later. */
  async function endsIn(answer: Promise<Told>, ms: number): Promise<void> {
    const from = clock.nowMs();
    while ((await Promise.race([answer, turn()])) === undefined) {
      assert.ok(clock.nowMs() - from <= ms, "nothing has ended it");
      await clock.move(500);
    }
    assert.equal((await answer).error?.code, "BODY_TIMEOUT");
    assert.ok(clock.nowMs() - from >= ms);
  }
});
