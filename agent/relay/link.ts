import { type ClientHttp2Session, connect as openSession } from "node:http2";
import { connect, type TLSSocket } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import { type RelayOrders, relayTls } from "../../protocol/door-relay.ts";
import { limits } from "../../protocol/limits.ts";

const PAUSE_MS = 100;

/** One authenticated connection to the mesh, each stream of which is a connection to the door. Rejects when there is none in time. */
export async function openLink(orders: RelayOrders, clock: Clock): Promise<ClientHttp2Session> {
  const socket = await dial(orders, clock);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const session = openSession("http://door", {
    createConnection: () => socket,
    // Of each stream; Node gives the connection as a whole its room back at once, so that one that nobody reads holds back no other.
    settings: { enablePush: false, initialWindowSize: limits.docker.relayStreamBytesMax },
  });
  session.once("error", reject);
  session.once("close", () => reject(new Error("the mesh has closed the connection")));
  // In TLS 1.3 a client is done before its peer has judged it; the first word of the mesh says that it has.
  session.once("remoteSettings", () => resolve());
  await promise;
  return session;
}

async function dial(orders: RelayOrders, clock: Clock): Promise<TLSSocket> {
  const deadline = clock.monotonicMs() + limits.docker.relayLinkMs;
  for (;;) {
    try {
      return await secured(orders);
    } catch (error) {
      if (clock.monotonicMs() > deadline) throw error;
      // Others may crowd at the port, or the network may come up.
      await clock.sleep(PAUSE_MS);
    }
  }
}

function secured({ host, port, identity, key }: RelayOrders): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = connect({
    ...{ host, port, ...relayTls },
    // Nobody's certificate is taken: who does not know the key is not the mesh.
    ca: [],
    checkServerIdentity: () => new Error("the mesh has no certificate"),
    pskCallback: () => ({ identity, psk: Buffer.from(key, "latin1") }),
  });
  socket
    .setNoDelay(true)
    .setTimeout(limits.docker.relayHandshakeMs, () => socket.destroy(new Error("no answer in time")));
  socket.once("error", reject);
  socket.once("secureConnect", () => {
    socket.setTimeout(0).off("error", reject);
    resolve(socket);
  });
  return promise;
}
