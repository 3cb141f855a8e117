import { createSocket, type Socket } from "node:dgram";
import { connect, createServer, type Server } from "node:net";
import type { Clock } from "../../../lib/clock.ts";
import type { HoneypotFinding } from "./report.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** Listeners on every address of the host that no sandbox must be able to reach. */
export interface Honeypots {
  readonly targets: { readonly tcp: readonly Target[]; readonly udp: readonly Target[] };
  /** Knocks at each from the host itself, and tells which heard it and what else they heard. */
  findings(): Promise<readonly HoneypotFinding[]>;
  close(): Promise<void>;
}

interface Listener {
  readonly kind: "tcp" | "udp";
  readonly family: 4 | 6;
  readonly port: number;
  /** Connections or packets so far that did not begin with our own word. */
  strangers(): number;
  knock(host: string): Promise<void>;
  /** Our own knocks that arrived. */
  heard(): number;
  close(): Promise<void>;
}

const KNOCK_TIMEOUT_MS = 1_000;

/**
 * `addresses` are the host's own. `word` is unguessable: it tells our knocks from those of others.
 * A family that the host does not have gets no listener.
 */
export async function openHoneypots(addresses: readonly string[], word: string, clock: Clock): Promise<Honeypots> {
  const listeners: Listener[] = [];
  for (const family of [4, 6] as const) {
    for (const open of [listenTcp, listenUdp]) {
      const listener = await open(family, word).catch(() => undefined);
      if (listener) listeners.push(listener);
    }
  }
  const placed = listeners.flatMap((listener) =>
    addresses
      .filter((address) => (address.includes(":") ? 6 : 4) === listener.family)
      .map((address) => ({ listener, address })),
  );
  const targetsOf = (kind: "tcp" | "udp"): Target[] =>
    placed
      .filter(({ listener }) => listener.kind === kind)
      .map(({ listener, address }) => ({ host: address, port: listener.port }));
  const findings = async (): Promise<readonly HoneypotFinding[]> => {
    const found: HoneypotFinding[] = [];
    for (const { listener, address } of placed) {
      const awake = await hears(listener, address, clock);
      found.push({ kind: listener.kind, address, port: listener.port, awake, hits: listener.strangers() });
    }
    return found;
  };
  return {
    targets: { tcp: targetsOf("tcp"), udp: targetsOf("udp") },
    findings,
    close: async () => void (await Promise.all(listeners.map((listener) => listener.close()))),
  };
}

async function hears(listener: Listener, address: string, clock: Clock): Promise<boolean> {
  const before = listener.heard();
  await listener.knock(address).catch(() => undefined);
  const deadline = clock.monotonicMs() + KNOCK_TIMEOUT_MS;
  while (listener.heard() === before && clock.monotonicMs() < deadline) await clock.sleep(5);
  return listener.heard() > before;
}

async function listenTcp(family: 4 | 6, word: string): Promise<Listener> {
  let connections = 0;
  let ours = 0;
  const server = createServer((socket) => {
    connections++;
    socket.setTimeout(KNOCK_TIMEOUT_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.once("data", (bytes) => {
      if (bytes.toString("latin1") === word) ours++;
      socket.destroy();
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: family === 4 ? "0.0.0.0" : "::", port: 0, ipv6Only: family === 6 }, () =>
      resolve(portOf(server)),
    );
  });
  return {
    kind: "tcp",
    family,
    port,
    strangers: () => connections - ours,
    heard: () => ours,
    knock: (host) =>
      new Promise((resolve) => {
        const socket = connect({ host, port }, () => socket.end(word, "latin1"));
        socket.setTimeout(KNOCK_TIMEOUT_MS, () => socket.destroy());
        socket.on("error", () => undefined);
        socket.once("close", () => resolve());
      }),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function listenUdp(family: 4 | 6, word: string): Promise<Listener> {
  let packets = 0;
  let ours = 0;
  const type = family === 4 ? "udp4" : "udp6";
  const socket = createSocket({ type, ipv6Only: family === 6 });
  socket.on("message", (bytes) => {
    packets++;
    if (bytes.toString("latin1") === word) ours++;
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ port: 0, address: family === 4 ? "0.0.0.0" : "::" }, resolve);
  });
  const port = portOf(socket);
  return {
    kind: "udp",
    family,
    port,
    strangers: () => packets - ours,
    heard: () => ours,
    knock: (host) =>
      new Promise((resolve) => {
        const sender = createSocket(type);
        sender.send(word, port, host, () => {
          sender.close();
          resolve();
        });
      }),
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function portOf(listening: Server | Socket): number {
  const address = listening.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
