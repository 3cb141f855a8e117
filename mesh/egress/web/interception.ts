import { performServerHandshake } from "node:http2";
import type { Duplex } from "node:stream";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Deadlines } from "../../http/deadlines.ts";
import type { Authority } from "./authority.ts";
import { CertificateAuthority } from "./certificate-authority.ts";
import { frontOfHttp2, type Front } from "./front.ts";

interface Ends {
  secured(socket: TLSSocket, to: Authority): void;
  /** The client did not want this TLS, or speaks none that is understood. */
  unagreed(error: Error, to: Authority): void;
}

/** Ends the TLS of one sandbox's clients in the place of the hosts that they mean. */
export class Interception {
  readonly authority: CertificateAuthority;
  readonly #clock: Clock;
  readonly #ends: Ends;
  /** One for each place, with its leaf; they listen nowhere. */
  readonly #servers = new Map<string, { readonly server: Server; readonly renewAtMs: number }>();

  constructor(sandbox: string, clock: Clock, ends: Ends) {
    this.authority = new CertificateAuthority(sandbox, clock);
    this.#clock = clock;
    this.#ends = ends;
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
    server.on("tlsClientError", (error, socket) => {
      socket.destroy();
      this.#ends.unagreed(error, to);
    });
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      this.#ends.secured(socket, to);
    });
    return { server, renewAtMs };
  }
}

export interface Http2Events {
  asked(front: Front): void;
  /** The connection cannot be read, or its last stream; it ends. */
  unread(error: Error): void;
  /** Before a stream that was read there is one that was not. */
  passedOver(): void;
}

/** Reads HTTP/2 on a connection; each stream is one request. */
export function serveHttp2(socket: Duplex, deadlines: Deadlines, on: Http2Events): void {
  const session = performServerHandshake(socket, {
    maxSessionMemory: SESSION_MEGABYTES_MAX,
    maxHeaderListPairs: limits.web.headerCountMax,
    // nghttp2 turns away one such frame by itself and tells nobody; with the next one the connection ends.
    maxSessionInvalidFrames: 0,
    settings: {
      maxConcurrentStreams: limits.web.streamsPerConnectionMax,
      maxHeaderListSize: limits.door.headerBytesMax,
      enablePush: false,
      enableConnectProtocol: false,
    },
  });
  let asked = 0;
  const end = (): void => {
    // A stream whose head cannot be read is turned away before anybody is told; only its number stays.
    if (!session.destroyed && (session.state.lastProcStreamID ?? 0) > asked) on.unread(unreadStream());
    session.destroy();
  };
  session.setTimeout(limits.web.idleTimeoutMs, end);
  // A session that breaks waits for what it was writing then, also when nobody tells it any more that it is written.
  const watch = {
    expire: (): void => (session.destroyed ? void socket.destroy() : deadlines.set(watch, limits.web.sessionWatchedMs)),
  };
  watch.expire();
  socket.once("close", () => deadlines.clear(watch));
  // The door's connections are half-open ones, for CONNECT: here the end of the client's side is the end.
  socket.once("end", end);
  // So is the end of ours: who says that it goes (GOAWAY) and stays would hold the connection.
  socket.once("finish", () => socket.destroy());
  session.on("error", (error) => {
    on.unread(error);
    session.destroy();
  });
  session.on("stream", (stream, headers, _flags, rawHeaders) => {
    const id = stream.id ?? asked;
    // Of what is turned away before anybody is told only the number is missing. A client may leave numbers out (RFC 9113
    // §5.1.1), and no usual one does.
    if (id > asked + (asked === 0 ? 1 : 2)) on.passedOver();
    asked = id;
    stream.on("error", () => stream.destroy());
    on.asked(frontOfHttp2(stream, headers, rawHeaders));
  });
}

/** As Node's own, of a whole connection. */
const unreadStream = (): Error =>
  Object.assign(new Error("a stream could not be read"), { code: "ERR_HTTP2_STREAM_ERROR" });

const SESSION_MEGABYTES_MAX = 4;
