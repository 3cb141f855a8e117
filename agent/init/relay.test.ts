import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { startRelay, type Relay } from "./relay.ts";

let folder: string;
let doorSocket: string;
let relay: Relay;
let door: Server | undefined;
let onDoor: (socket: Socket) => void;
const events: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "cordon-relay-"));
  doorSocket = join(folder, "door.sock");
  onDoor = (socket) => socket.pipe(socket);
  const doorNow = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    onDoor(socket);
  });
  await new Promise<void>((resolve) => doorNow.listen(doorSocket, resolve));
  door = doorNow;
  events.length = 0;
  relay = await start({});
});
afterEach(async () => {
  await relay.close();
  await closeDoor();
  rmSync(folder, { recursive: true, force: true });
});

const start = (more: { connectionsMax?: number; idleMs?: number }): Promise<Relay> =>
  startRelay({
    host: "127.0.0.1",
    port: 0,
    doorSocket,
    connectionsMax: 128,
    idleMs: 60_000,
    log: (_level, event) => events.push(event),
    ...more,
  });

async function closeDoor(): Promise<void> {
  const open = door;
  door = undefined;
  if (open) await new Promise((resolve) => open.close(resolve));
}

function client(port = relay.port): Socket {
  return connect({ host: "127.0.0.1", port, allowHalfOpen: true }).on("error", () => {});
}

async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  await new Promise((resolve) => socket.once("end", resolve).once("close", resolve));
  return Buffer.concat(chunks);
}

const closed = (socket: Socket): Promise<unknown> =>
  new Promise((resolve) => {
    if (socket.destroyed) return resolve(undefined);
    socket.resume().once("close", resolve);
    socket.once("end", () => socket.end());
  });

test("every byte arrives as it was, both ways", async () => {
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) & 255));
  const socket = client();
  socket.end(sent);
  assert.deepEqual(await all(socket), sent);
});

test("a client that has finished writing still gets its answer", async () => {
  onDoor = (socket) => {
    let got = "";
    socket.on("data", (chunk) => (got += chunk));
    socket.on("end", () => setTimeout(() => socket.end(`got ${got}`), 30));
  };
  const socket = client();
  socket.end("question");
  assert.equal((await all(socket)).toString(), "got question");
});

test("a door that has finished writing still hears the client", async () => {
  const heard = new Promise<string>((resolve) => {
    onDoor = (socket) => {
      socket.end("first");
      let got = "";
      socket.on("data", (chunk) => (got += chunk));
      socket.on("end", () => resolve(got));
    };
  });
  const socket = client();
  assert.equal((await all(socket)).toString(), "first");
  socket.end("last words");
  assert.equal(await heard, "last words");
});

test("a slow reader slows the door instead of filling memory", async () => {
  let written = 0;
  onDoor = (socket) => {
    const chunk = Buffer.alloc(64 * 1024);
    const pour = (): void => {
      while (written < 64 * 1024 * 1024) {
        written += chunk.length;
        if (!socket.write(chunk)) return void socket.once("drain", pour);
      }
      socket.end();
    };
    pour();
  };
  const socket = client();
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.pause();
  await systemClock.sleep(300);
  assert.ok(written < 24 * 1024 * 1024, `${written} bytes were taken from the door`);
  assert.equal((await all(socket)).length, 64 * 1024 * 1024);
});

test("a hundred connections at once, none mixed up", async () => {
  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const socket = client();
      socket.end(`number ${i}`);
      return (await all(socket)).toString();
    }),
  );
  assert.deepEqual(
    answers,
    Array.from({ length: 100 }, (_, i) => `number ${i}`),
  );
});

test("more connections than the bound are closed, and the rest goes on", async () => {
  const small = await start({ connectionsMax: 3 });
  const kept = Array.from({ length: 3 }, () => client(small.port));
  await Promise.all(kept.map((socket) => new Promise((resolve) => socket.write("x", resolve))));
  await systemClock.sleep(50);
  await Promise.all([closed(client(small.port)), closed(client(small.port))]);
  assert.deepEqual(events, ["relay.full"], "said once");
  kept[0]?.end("y");
  assert.equal((await all(kept[0] as Socket)).toString(), "xy");
  await small.close();
});

test("a door that is gone closes the client and does not end the relay", async () => {
  await closeDoor();
  await closed(client());
  await closed(client());
  const again = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => again.listen(doorSocket, resolve));
  door = again;
  const socket = client();
  socket.end("back");
  assert.equal((await all(socket)).toString(), "back");
});

test("a door that breaks the connection breaks the client's, and the other way round", async () => {
  onDoor = (socket) => socket.once("data", () => socket.destroy());
  const socket = client();
  socket.write("x");
  await closed(socket);

  const gone = new Promise((resolve) => {
    onDoor = (atDoor) =>
      atDoor
        .resume()
        .once("end", () => atDoor.destroy())
        .once("close", resolve);
  });
  const rude = client();
  rude.write("x", () => rude.resetAndDestroy());
  await gone;
});

test("a pair over which nothing moves is closed", async () => {
  const strict = await start({ idleMs: 50 });
  await closed(client(strict.port));
  await strict.close();
});
