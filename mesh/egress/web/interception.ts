import { performServerHandshake } from "node:http2";
import type { Duplex } from "node:stream";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Authority } from "./authority.ts";
import { CertificateAuthority } from "./certificate-authority.ts";
import { frontOfHttp2, type Front } from "./front.ts";

/** Ends the TLS of one sandbox's clients in the place of the hosts that they mean. */
export class Interception {
  readonly authority: CertificateAuthority;
  readonly #clock: Clock;
  readonly #onSecure: (socket: TLSSocket, to: Authority) => void;
  /** One for each place, with its leaf; they listen nowhere. */
  readonly #servers = new Map<string, { readonly server: Server; readonly renewAtMs: number }>();

  constructor(sandbox: string, clock: Clock, onSecure: (socket: TLSSocket, to: Authority) => void) {
    this.authority = new CertificateAuthority(sandbox, clock);
    this.#clock = clock;
    this.#onSecure = onSecure;
  }

  /** The client's connection, which begins with TLS for `to`. */
  take(socket: Duplex, to: Authority): void {
    const place = JSON.stringify([to.host, to.port]);
    let known = this.#servers.get(place);
    if (!known || known.renewAtMs <= this.#clock.nowMs()) known = this.#open(to);
    // The one that was used longest ago goes first.
    this.#servers.delete(place);
    if (this.#servers.size >= limits.web.leavesPerSandboxMax)
      this.#servers.delete(this.#servers.keys().next().value ?? "");
    this.#servers.set(place, known);
    known.server.emit("connection", socket);
  }

  #open(to: Authority): { readonly server: Server; readonly renewAtMs: number } {
    const { key, cert, renewAtMs } = this.authority.issue(to.host);
    const server = createServer({
      ...{ key, cert },
      minVersion: "TLSv1.2",
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: limits.web.helloTimeoutMs,
    });
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      this.#onSecure(socket, to);
    });
    return { server, renewAtMs };
  }
}

/** Reads HTTP/2 on a connection; each stream is one request. */
export function serveHttp2(socket: Duplex, onRequest: (front: Front) => void): void {
  const session = performServerHandshake(socket, {
    maxSessionMemory: SESSION_MEGABYTES_MAX,
    maxHeaderListPairs: limits.web.headerCountMax,
    settings: {
      maxConcurrentStreams: limits.web.streamsPerConnectionMax,
      maxHeaderListSize: limits.door.headerBytesMax,
      enablePush: false,
      enableConnectProtocol: false,
    },
  });
  session.setTimeout(limits.web.idleTimeoutMs, () => session.destroy());
  session.on("error", () => session.destroy());
  session.on("stream", (stream, headers, _flags, rawHeaders) => {
    stream.on("error", () => stream.destroy());
    onRequest(frontOfHttp2(stream, headers, rawHeaders));
  });
}

const SESSION_MEGABYTES_MAX = 4;
