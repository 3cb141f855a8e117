import { connect, createServer, type Server, type Socket } from "node:net";
import type { Log } from "./log.ts";
import { describeFault } from "./log.ts";

export interface RelayOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly doorSocket: string;
  readonly connectionsMax: number;
  /** A pair of sockets over which nothing has moved for so long is closed. */
  readonly idleMs: number;
  /** Said at the door before anything of the client; the head of the answer, which must be 101, is not for the client. */
  readonly preface?: string;
  readonly log: Log;
}

export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Carries bytes between the sandbox's loopback and its door, for guests that speak TCP only. It looks at
 * nothing and decides nothing: whatever comes out of it is judged at the door like any other byte.
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const open = new Set<Socket>();
  // Half-open on both legs, because a client may close its writing side and still wait for the answer.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => carry(client, options, open));
  server.maxConnections = options.connectionsMax;
  let dropping = false;
  server.on("drop", () => {
    if (!dropping) options.log("warn", "relay.full", { connections: options.connectionsMax });
    dropping = true;
  });
  await listen(server, options);
  server.on("error", (fault) => options.log("error", "relay.failed", { fault: describeFault(fault) }));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function listen(server: Server, { host, port }: RelayOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function carry(client: Socket, options: RelayOptions, open: Set<Socket>): void {
  const door = connect({ path: options.doorSocket, allowHalfOpen: true });
  if (options.preface !== undefined) door.write(options.preface);
  for (const [socket, other] of [
    [client, door],
    [door, client],
  ] as const) {
    open.add(socket);
    socket.setTimeout(options.idleMs, () => socket.destroy());
    // What the door says before it has agreed is not for the client.
    if (socket === door && options.preface !== undefined) passAgreement(door, client);
    // `pipe` passes the end of one direction on and leaves the other open; a fault ends both.
    else socket.pipe(other);
    // A close follows every error.
    socket.on("error", () => {});
    socket.on("close", () => {
      open.delete(socket);
      if (!socket.readableEnded || !socket.writableFinished) other.destroy();
    });
  }
}

const HEAD_BYTES_MAX = 4_096;

function passAgreement(door: Socket, client: Socket): void {
  let seen = Buffer.alloc(0);
  door.on("data", function look(piece: Buffer): void {
    seen = Buffer.concat([seen, piece]);
    const end = seen.indexOf("\r\n\r\n");
    if (end < 0 && seen.length < HEAD_BYTES_MAX) return;
    door.off("data", look).pause();
    if (end < 0 || !seen.toString("latin1", 0, 13).startsWith("HTTP/1.1 101 ")) return void door.destroy();
    if (seen.length > end + 4) door.unshift(seen.subarray(end + 4));
    door.pipe(client);
  });
}
