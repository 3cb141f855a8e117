/**
 * Where the relay of one door comes to the mesh: a TCP port of its own, open to who knows its key, once. The caller is the sandbox
 * for which this port was made, whatever is said here. Who holds the key twice, another's, or none is turned away and told of.
 */
import { constants } from "node:crypto";
import { constants as http2, performServerHandshake, type ServerHttp2Session } from "node:http2";
import { connect } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { limits } from "../../../protocol/limits.ts";
import { type RelayOrders, relayTls } from "../../../protocol/door-relay.ts";
import type { Clock } from "../../../lib/clock.ts";
import type { Id } from "../../../lib/id.ts";
import { joinStreams } from "../../../lib/join-streams.ts";
import { ConnectionPace } from "../../door/connection-pace.ts";
import type { SandboxEvent } from "../backend.ts";

/** Of what one session keeps, in millions of bytes, as Node counts them: all streams that are full, and some more for itself. */
const SESSION_MEGABYTES_MAX = Math.ceil((2 * limits.docker.relayStreamBytesMax * limits.door.connectionsMax) / 1e6) + 2;

export type RelayRefused = Extract<SandboxEvent, { type: "relay_refused" }>;

export interface RelayPortEvents {
  /** Once, after it was linked: the relay is gone, and nobody can come in its place. */
  lost(): void;
  refused(event: RelayRefused): void;
}

export interface RelayPortOptions {
  /** The door's socket on this machine. */
  readonly door: string;
  readonly id: Id;
  readonly clock: Clock;
  readonly on: RelayPortEvents;
}

export class RelayPort {
  readonly #options: RelayPortOptions;
  readonly #server: Server;
  readonly #pace: ConnectionPace;
  readonly #identity: string;
  /** 260 random bits; null once it has been used. */
  #key: string | null;
  #session: ServerHttp2Session | undefined;
  readonly #refused = new Map<RelayRefused["reason"], { count: number; atMs: number }>();
  #closed = false;

  constructor(options: RelayPortOptions) {
    this.#options = options;
    this.#identity = options.id.next("relay");
    this.#key = options.id.next("k") + options.id.next("k");
    const why = new WeakMap<object, RelayRefused["reason"]>();
    this.#server = createServer({
      ...relayTls,
      handshakeTimeout: limits.docker.relayHandshakeMs,
      // The key is asked for each time: no ticket stands for it.
      secureOptions: constants.SSL_OP_NO_TICKET,
      // OpenSSL compares what was made with the key in constant time; which key it is to be is no secret.
      pskCallback: (socket: TLSSocket, identity: string) => {
        const own = identity === this.#identity;
        why.set(socket, own && this.#key === null ? "used key" : "foreign key");
        return own && this.#key !== null ? Buffer.from(this.#key, "latin1") : null;
      },
    });
    this.#pace = new ConnectionPace(this.#server, options.clock, {
      atOnce: limits.docker.relayConnectionsMax,
      burst: limits.docker.relayConnectionsBurst,
      perSecond: limits.docker.relayConnectionsPerSecond,
    });
    this.#server.on("tlsClientError", (_error, socket) => {
      socket.destroy();
      this.#refuse(why.get(socket) ?? "no key");
    });
    this.#server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      if (this.#key === null || this.#closed) {
        socket.destroy();
        return this.#refuse("used key");
      }
      this.#key = null;
      this.#serve(socket);
    });
    this.#server.on("drop", () => this.#refuse("crowd"));
    this.#server.on("error", () => undefined);
  }

  /** Resolves with what the relay is to be told. */
  listen(bindTo: string, host: string): Promise<RelayOrders> {
    const { promise, resolve, reject } = Promise.withResolvers<RelayOrders>();
    this.#server.once("error", reject);
    this.#server.listen({ host: bindTo, port: 0, exclusive: true }, () => {
      this.#server.off("error", reject);
      const address = this.#server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      resolve({ host, port, identity: this.#identity, key: this.#key ?? "" });
    });
    return promise;
  }

  /** A relay has shown the key and is still there. */
  get linked(): boolean {
    return this.#session !== undefined && !this.#session.destroyed;
  }

  close(): void {
    this.#closed = true;
    this.#key = null;
    this.#pace.close();
    this.#server.close();
    this.#session?.destroy();
  }

  #serve(socket: TLSSocket): void {
    socket.setNoDelay(true).setKeepAlive(true, limits.docker.relayHandshakeMs);
    const session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEGABYTES_MAX,
      maxSessionInvalidFrames: 0,
      settings: {
        maxConcurrentStreams: limits.door.connectionsMax,
        maxHeaderListSize: limits.door.headerBytesMax,
        initialWindowSize: limits.docker.relayStreamBytesMax,
        enablePush: false,
      },
    });
    this.#session = session;
    session.on("error", () => session.destroy());
    session.on("close", () => {
      socket.destroy();
      if (!this.#closed) this.#options.on.lost();
    });
    session.on("stream", (stream, { ":method": method }) => {
      stream.on("error", () => undefined);
      if (method !== "CONNECT") return stream.close(http2.NGHTTP2_REFUSED_STREAM);
      stream.respond({ ":status": 200 });
      joinStreams(stream, connect({ path: this.#options.door, allowHalfOpen: true }));
    });
  }

  #refuse(reason: RelayRefused["reason"]): void {
    if (this.#closed) return;
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#refused.get(reason) ?? { count: 0, atMs: Number.NEGATIVE_INFINITY };
    known.count++;
    this.#refused.set(reason, known);
    if (nowMs - known.atMs < limits.docker.relayRefusedWindowMs) return;
    this.#options.on.refused({ type: "relay_refused", reason, count: known.count });
    this.#refused.set(reason, { count: 0, atMs: nowMs });
  }
}
