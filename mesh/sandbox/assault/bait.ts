/** What the suite puts on the host, so that reaching it proves a hole and harms nobody: listeners, a file, a process's pid. */
import { createSocket } from "node:dgram";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { limits } from "../../../protocol/limits.ts";
import { startTimeOf } from "../proc.ts";

const LISTENING = "0A";

export interface Bait {
  /** What the hostile code is told. */
  readonly target: Readonly<Record<string, unknown>>;
  /** What arrived, seen from the host, with the nonce of this run. */
  caught(): readonly string[];
  close(): void;
}

/** `folder`: open to all users of the machine, as whatever a weak container shows of it would be. */
export async function layBait(nonce: string, folder: string): Promise<Bait> {
  const caught = new Set<string>();
  const canary = { name: `cordon-canary-${nonce}`, path: join(folder, `cordon-canary-${nonce}`) };
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await writeFile(canary.path, nonce, { mode: 0o644 });
  const tcp = trap(nonce, () => caught.add("a TCP connection"));
  const abstract = trap(nonce, () => caught.add("a connection to an abstract socket"));
  const udp = createSocket("udp4", (message) => {
    if (message.includes(nonce)) caught.add("a datagram");
  });
  const close = (): void => {
    for (const server of [tcp, abstract]) if (server.listening) server.close();
    udp.close();
  };
  try {
    // Ports that were open before: the suite's own are tried by attempts of their own.
    const hostPorts = await listeningPorts();
    await listening(tcp, 0);
    await listening(abstract, `\0cordon-${nonce}`);
    await new Promise<void>((resolve, reject) => udp.once("error", reject).bind(0, () => resolve()));
    const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
    return {
      target: {
        canary,
        // RFC 5737: an address of nobody, so that a host without a network has something to try, too.
        addresses: ["192.0.2.1", ...own].slice(0, limits.assault.addressesMax),
        tcpPort: (tcp.address() as AddressInfo).port,
        udpPort: udp.address().port,
        hostPorts,
        abstract: `cordon-${nonce}`,
        host: { pid: process.pid, startTime: startTimeOf(process.pid) },
      },
      caught: () => [...caught],
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function trap(nonce: string, arrived: () => void): Server {
  return createServer((socket: Socket) => {
    let text = "";
    socket.setTimeout(limits.assault.attemptTimeoutMs, () => socket.destroy());
    socket
      .on("error", () => {})
      .on("data", (piece: Buffer) => {
        text = (text + piece.toString("latin1")).slice(-1_024);
        if (text.includes(nonce)) arrived();
      });
  });
}

const listening = (server: Server, where: string | number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => resolve());
  });

/** proc_net_tcp: local address in the second field, state in the fourth. */
async function listeningPorts(): Promise<readonly number[]> {
  const texts = await Promise.all(
    ["/proc/net/tcp", "/proc/net/tcp6"].map((file) => readFile(file, "latin1").catch(() => "")),
  );
  const ports = texts
    .flatMap((text) => text.split("\n").slice(1))
    .flatMap((line) => {
      const [, local = "", , state] = line.trim().split(/\s+/);
      return state === LISTENING ? [Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16)] : [];
    });
  return [...new Set(ports)].slice(0, limits.assault.hostPortsMax);
}
