import { createServer, ServerResponse, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { TokenBucket } from "../../http/bucket.ts";
import { Deadlines } from "../../http/deadlines.ts";
import { OwedAnswers } from "../../http/owed-answers.ts";
import { placeholderOf } from "./binding.ts";
import { WebExchange, type Lane, type OnUpgrade } from "./exchange.ts";
import { answerRefusal, frontOfHttp1, type Front } from "./front.ts";
import type { Gateway } from "./gateway.ts";
import type { Entrance } from "./head.ts";
import { Interception, serveHttp2 } from "./interception.ts";
import { PlainTunnel } from "./plain-tunnel.ts";
import { enterTunnel } from "./tunnel.ts";
import { Upstreams } from "./upstreams.ts";
import type { Warden } from "./warden.ts";
import { relayWebSocket } from "./websocket.ts";

/** The way of one sandbox to the web. */
export class WebSession {
  readonly lane: Lane;
  readonly #sandbox: string;
  readonly #bucket: TokenBucket;
  /** Reads HTTP/1.1 out of tunnels; it listens nowhere. */
  readonly #server: Server;
  readonly #entrances = new WeakMap<object, NonNullable<Entrance>>();
  readonly #owed = new OwedAnswers();
  readonly #tunnels = new Set<Duplex>();
  readonly #plain: boolean;
  readonly #deadlines: Deadlines;
  #interception: Interception | undefined;
  #concurrent = 0;

  /** `plain`: what is in its plain form is read here, not by Node's server. */
  constructor(gateway: Gateway, sandbox: string, warden: Warden, plain = true) {
    this.#plain = plain;
    this.#deadlines = new Deadlines(gateway.clock);
    const { requestsBurst, requestsPerSecond, namesAskedBurst, namesAskedPerSecond } = limits.web;
    const names = new TokenBucket(gateway.clock, namesAskedBurst, namesAskedPerSecond);
    const bindings = gateway.bindings.filter(({ credential }) => warden.use.includes(credential));
    const upstreams = new Upstreams(gateway.trust, gateway.clock, this.#deadlines);
    const placeholders = warden.use.map(placeholderOf);
    this.lane = { gateway, warden, upstreams, bindings, placeholders, mayAsk: () => names.take() };
    this.#sandbox = sandbox;
    this.#bucket = new TokenBucket(gateway.clock, requestsBurst, requestsPerSecond);
    this.#server = createServer(
      {
        maxHeaderSize: limits.door.headerBytesMax,
        keepAliveTimeout: limits.door.keepAliveMs,
        insecureHTTPParser: false,
        requireHostHeader: false,
        shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket",
      },
      (request, response) => {
        this.#owed.add(request, response);
        void this.request(request, response, this.#entrances.get(request.socket) ?? null);
      },
    );
    this.#server.maxHeadersCount = limits.web.headerCountMax;
    this.#server.timeout = limits.web.idleTimeoutMs;
    this.#server.on("clientError", (error, socket) => this.#unread(error, socket));
    this.#server.on("connect", (request, socket: Duplex) => {
      const remedy = "ask the door itself for each tunnel";
      const refused = refusal("unsupported", "a tunnel within a tunnel is not opened", remedy);
      this.#turnAway(socket, refused, this.#entrances.get(request.socket) ?? null);
    });
    this.#server.on("upgrade", (request, socket, head) => {
      const entrance = this.#entrances.get(request.socket) ?? null;
      if (!this.#owed.on(request)) return this.upgrade(request, socket, head, entrance);
      const remedy = "wait for the answer, or use another connection";
      this.#turnAway(socket, refusal("malformed", "WebSocket is asked for while an answer is owed", remedy), entrance);
    });
  }

  /** Keys are made for sandboxes that use them only. */
  get interception(): Interception {
    const { clock } = this.lane.gateway;
    return (this.#interception ??= new Interception(this.#sandbox, clock, {
      secured: (socket, to) => {
        const entrance = { scheme: "https", to } as const;
        this.#entrances.set(socket, entrance);
        try {
          if (socket.alpnProtocol !== "h2") return this.readHttp1(socket, entrance);
          serveHttp2(socket, this.#deadlines, {
            asked: (front) => this.serve(entrance, front),
            unread: (error) => this.#unread(error, socket),
            passedOver: () => {
              const remedy = "open streams one after the other, and send HTTP as its standard says";
              const refused = refusal("malformed", "a stream was left out, or cannot be read", remedy);
              this.#note({ verb: "web.request", host: to.host, port: to.port }, refused);
            },
          });
        } catch (error) {
          this.lane.warden.fault(error);
          socket.destroy();
        }
      },
      unagreed: (error, to) => {
        const code = codeOf(error);
        // Some clients look whether a place is there and go.
        if (!code.startsWith("ERR_SSL_")) return;
        const remedy = "let the client trust the sandbox's authority, or say `tls: passthrough` in the rule";
        const refused = refusal("unsupported", `the client and the gateway agree on no TLS (${code})`, remedy);
        this.#note({ verb: "web.tunnel", host: to.host, port: to.port }, refused);
      },
    }));
  }

  /** Bytes that are no request of the version of HTTP that was agreed on. */
  #unread(error: unknown, socket: Duplex): void {
    const code = codeOf(error);
    // An end in between is no attempt.
    if (!/^(?:HPE_|ERR_HTTP)/.test(code) || code === "HPE_INVALID_EOF_STATE") return void socket.destroy();
    this.#turnAway(
      socket,
      refusal("malformed", `the request cannot be read (${code})`, "send HTTP as its standard says"),
    );
  }

  #turnAway(socket: Duplex, refused: Refusal, entrance = this.#entrances.get(socket) ?? null): void {
    const to = entrance?.to;
    // Node's server may have let go of it: nobody else hears of its errors.
    socket.on("error", () => socket.destroy());
    this.#note({ verb: "web.request", ...(to && { host: to.host, port: to.port }) }, refused);
    // Where something was answered before, another answer could be taken for it.
    socket.destroy();
  }

  #note(about: { readonly [key: string]: string | number }, refused: Refusal): void {
    this.lane.warden.refused(about, refused).catch((error: unknown) => this.lane.warden.fault(error));
  }

  /** A request at the door by its whole address, or one in a tunnel. */
  request(request: IncomingMessage, response: ServerResponse, entrance: Entrance): Promise<void> {
    // Its body has no end in time, but moves on.
    request.socket.setTimeout(limits.web.idleTimeoutMs);
    return new Promise((over) => this.serve(entrance, frontOfHttp1(request, response), null, over));
  }

  /** A request that wants to go on in WebSocket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, entrance: Entrance): void {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Parameters<ServerResponse["assignSocket"]>[0]);
    response.once("finish", () => socket.end());
    socket.on("error", () => socket.destroy());
    if (head.length > 0) socket.unshift(head);
    const front = frontOfHttp1(request, response, true);
    let relayed = false;
    const onUpgrade: OnUpgrade = (admitted, upstream, fields) => {
      relayed = true;
      response.detachSocket(socket as Parameters<ServerResponse["detachSocket"]>[0]);
      return relayWebSocket(this.lane, admitted, { socket, upstream, fields });
    };
    // It was refused, or answered with something else: nobody reads here any more, to be told that the client has gone.
    const leaving = { expire: () => void socket.destroy() };
    socket.once("close", () => this.#deadlines.clear(leaving));
    this.serve(entrance, front, onUpgrade, () => {
      if (!relayed && !socket.destroyed) this.#deadlines.set(leaving, limits.web.idleTimeoutMs);
    });
  }

  /** CONNECT: the client wants a tunnel to `target`. */
  connect(target: string, socket: Duplex, head: Buffer): void {
    this.#tunnels.add(socket);
    socket.once("close", () => this.#tunnels.delete(socket));
    socket.on("error", () => socket.destroy());
    enterTunnel(this, target, socket, head).catch((error: unknown) => {
      this.lane.warden.fault(error);
      socket.destroy();
    });
  }

  /** HTTP/1.1 on a connection whose tunnel leads to `entrance`. */
  readHttp1(socket: Duplex, entrance: NonNullable<Entrance>): void {
    this.#entrances.set(socket, entrance);
    const handOver = (): void => void this.#server.emit("connection", socket);
    if (!this.#plain) return handOver();
    const asked = (front: Front): void => this.serve(entrance, front);
    void new PlainTunnel(socket, this.#deadlines, { asked, handOver });
  }

  /** `over` is called when all of it is told, and recorded. */
  serve(entrance: Entrance, front: Front, onUpgrade: OnUpgrade | null = null, over = nothing): void {
    if (this.#bucket.take() && this.#concurrent < limits.web.requestsConcurrentMax) {
      this.#concurrent++;
      const ended = over === nothing ? this.#ended : () => void (this.#ended(), over());
      return new WebExchange(this.lane, entrance, front, onUpgrade, ended).begin();
    }
    const remedy = `at most ${limits.web.requestsPerSecond} requests a second, ${limits.web.requestsConcurrentMax} at once`;
    const refused = refusal("rate_limited", "too many requests to the web from this sandbox", remedy);
    const tell = (): void => {
      answerRefusal(front, refused);
      over();
    };
    this.lane.warden.refused({ verb: "web.request" }, refused).then(tell, tell);
  }

  readonly #ended = (): void => void this.#concurrent--;

  async close(): Promise<void> {
    for (const socket of this.#tunnels) socket.destroy();
    this.#server.closeAllConnections();
    await this.lane.upstreams.close();
    this.#deadlines.close();
  }
}

const nothing = (): void => {};

/** Of Node's own, of llhttp and of nghttp2: letters that no client has chosen. */
const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException | null)?.code ?? "").slice(0, 60);
