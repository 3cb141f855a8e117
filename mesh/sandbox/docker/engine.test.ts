/** Who answers on an engine's socket may be anybody, and engines end in the middle of a word. */
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { type Clock, systemClock } from "../../../lib/clock.ts";
import { SandboxError } from "../backend.ts";
import { DockerEngine } from "./engine.ts";
import { execIn } from "./exec.ts";
import { dockerShortfalls } from "./shortfalls.ts";
import { Resources } from "./resources.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "cordon-engine-"));
const servers: Server[] = [];
const sockets: Socket[] = [];
after(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
  fs.rmSync(folder, { recursive: true });
});

const ID = "a".repeat(64);
const UPGRADED = "HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n";
/** Answers one connection, whose first line of a request is `asked`; what it does not read stays unread. */
type Answer = (socket: Socket, asked: string) => void;
const json = (text: string, status = 200): Answer => {
  const head = `HTTP/1.1 ${status} OK\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n`;
  return (socket) => socket.end(head + text);
};

async function engineThat(answer: Answer, clock: Clock = systemClock) {
  const asked: string[] = [];
  const socketPath = join(folder, `${servers.length}.sock`);
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.once("data", (chunk: Buffer) => {
      const line = chunk.toString("latin1").split(" HTTP/")[0] ?? "";
      asked.push(line);
      answer(socket, line);
    });
  });
  servers.push(server);
  await once(server.listen(socketPath), "listening");
  return { engine: new DockerEngine(socketPath, clock), asked };
}

/** Time passes when it is said to. */
function heldClock() {
  const waits: (() => void)[] = [];
  const sleep = (_ms: number, signal?: AbortSignal): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waits.push(resolve);
    signal?.addEventListener("abort", () => reject(new Error("no longer awaited")));
    return promise;
  };
  return { clock: { ...systemClock, sleep }, pass: () => waits.splice(0).forEach((end) => end()) };
}

const bounds = { outputBytesMax: 1_000, timeoutMs: 60_000, clock: systemClock };
/** An exec, whose stream is left to `use`. */
const execWith =
  (use: (socket: Socket) => void): Answer =>
  (socket, asked) => {
    if (asked.endsWith("/start")) use(socket);
    else json(asked.endsWith("/json") ? '{"ExitCode":0}' : `{"Id":"${ID}"}`)(socket, asked);
  };
const frame = (text: string, length = text.length, stream = 1): Buffer =>
  Buffer.concat([Buffer.from([stream, 0, 0, 0, 0, 0, 0, length]), Buffer.from(text)]);

it("takes a connection that the engine resets for an early end of what a command says", async () => {
  const { engine } = await engineThat(
    execWith((socket) => {
      // What is not read when a socket is closed makes its other end break off.
      socket.write(Buffer.concat([Buffer.from(UPGRADED), frame("half")]), () => socket.pause());
    }),
  );
  const stream = await engine.stream(`/exec/${ID}/start`, {});
  // Nobody else listens for its errors.
  const broken = new Promise<void>((resolve) => stream.on("close", () => resolve()));
  stream.write("nobody reads this", () => sockets.at(-1)?.destroy());
  stream.resume();
  await broken;
  assert.equal(stream.errored && "code" in stream.errored && stream.errored.code, "ECONNRESET");
});

for (const [what, said] of [
  ["of no known stream", frame("x", 1, 9)],
  ["that ends too early", frame("x", 200)],
  ["whose beginning is half", frame("").subarray(0, 3)],
] as const) {
  it(`does not take a frame ${what} for all that a command says`, async () => {
    const { engine } = await engineThat(execWith((socket) => socket.end(Buffer.concat([Buffer.from(UPGRADED), said]))));
    assert.equal((await execIn(engine, ID, ["x"], bounds)).truncated, true);
  });
}

it("says that all is there when it is", async () => {
  const { engine } = await engineThat(
    execWith((socket) => socket.end(Buffer.concat([Buffer.from(UPGRADED), frame("all"), frame("bad", 3, 2)]))),
  );
  const done = { code: 0, stdout: "all", stderr: "bad", truncated: false };
  assert.deepEqual(await execIn(engine, ID, ["x"], bounds), done);
});

it(
  "waits for no stream without end, and keeps no connection that does not become one",
  { timeout: 20_000 },
  async () => {
    const { clock, pass } = heldClock();
    const { engine } = await engineThat(() => pass(), clock);
    await assert.rejects(engine.stream("/containers/x/attach"), refused(/no answer within/));
    const endless = await engineThat((socket) => void socket.write("HTTP/1.1 200 OK\r\n\r\nwords"));
    await assert.rejects(endless.engine.stream("/containers/x/attach"), refused(/status 200/));
    const [last] = sockets.slice(-1);
    if (last && !last.destroyed) await once(last.resume(), "close");
  },
);

it("takes no answer for whole that it has cut off itself", async () => {
  const { clock, pass } = heldClock();
  // Its end is that of the connection. The pause is for the head to arrive: without it the answer is refused as one that has not begun.
  const endless: Answer = (socket) => void socket.write("HTTP/1.1 200 OK\r\n\r\n{}", () => setTimeout(pass, 100));
  const { engine } = await engineThat(endless, clock);
  await assert.rejects(engine.ask("GET", "/info"), refused(/no answer within/));
  const all = async (answer: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of answer) pass();
  };
  await assert.rejects(engine.download("/images/x/get", 1, all), refused(/no answer within/));
});

it("asks for nothing by an id that is a path", async () => {
  const labels = '"Labels":{"dev.cordon.sandbox":"a-1"}';
  const parts = { containers: "[]", networks: "[]", volumes: '{"Volumes":null}' };
  for (const [kind, list] of [
    ["containers", `[{"Id":"../images/prune",${labels}}]`],
    ["networks", `[{"Id":"${ID}/../x",${labels}}]`],
    ["volumes", `{"Volumes":[{"Name":"..",${labels}}]}`],
  ] as const) {
    const answers = { ...parts, [kind]: list };
    const { engine, asked } = await engineThat((socket, line) => {
      const of = (["containers", "networks", "volumes"] as const).find((each) => line.includes(`/${each}`));
      json(of === undefined ? "{}" : answers[of])(socket, line);
    });
    await assert.rejects(
      new Resources(engine, "abcd1234", systemClock).remove("a-1"),
      refused(/form that is not known/),
    );
    assert.ok(asked.every((line) => line.startsWith("GET")));
  }
});

for (const text of ["null", "7", "words", "[null]", "{}"]) {
  it(`answers in a form that is not known with a refusal: ${text.slice(0, 20)}`, async () => {
    const { engine } = await engineThat(json(text));
    const resources = new Resources(engine, "abcd1234", systemClock);
    await assert.rejects(resources.remove("a-1"), refused(/form that is not known/));
    await assert.rejects(execIn(engine, ID, ["x"], bounds), refused(/without an id/));
    // Root or not, what the engine is asked for first is told as a shortfall, never thrown.
    await dockerShortfalls(engine, "container", "/");
  });
}

it("says why the engine has refused, whatever form the reason has", async () => {
  for (const [text, why] of [
    ['{"message":"no such thing"}', /no such thing/],
    ['{"message":{"toString":1}}', /no reason was given/],
    ["[".repeat(100_000) + "]".repeat(100_000), /no reason was given/],
    ["", /no reason was given/],
  ] as const) {
    const { engine } = await engineThat(json(text, 500));
    await assert.rejects(engine.ask("GET", "/info"), refused(why));
  }
});

const refused =
  (why: RegExp) =>
  (error: unknown): boolean =>
    error instanceof SandboxError && why.test(error.message);
