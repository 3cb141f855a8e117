import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Json } from "../../lib/json.ts";
import type { Result } from "../../lib/result.ts";
import type { Soon } from "../../lib/soon.ts";
import { doorRoutes } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { DoorListener } from "../sandbox/backend.ts";
import type { DatabaseLane } from "../egress/brokers/postgres/broker.ts";
import type { RepositoryLane } from "../egress/brokers/ssh/broker.ts";
import type { WebSession } from "../egress/web/session.ts";
import { StoreFailure } from "../store/store.ts";
import { TokenBucket } from "../http/bucket.ts";
import { Activity } from "./activity.ts";
import { ConnectionPace } from "./connection-pace.ts";
import { BodyCost, type MemoryShare } from "../http/body-memory.ts";
import {
  chargeTo,
  readJson,
  sendJson,
  sendNothing,
  sendRefusal,
  sendText,
  type HttpRequest,
  type HttpResponse,
} from "../http/exchange.ts";
import { Deadlines } from "../http/deadlines.ts";
import { OwedAnswers } from "../http/owed-answers.ts";
import { Turns } from "../http/turns.ts";
import { PlainLeg } from "../http/plain-leg.ts";
import { PlainRequest } from "../http/plain-request.ts";
import { PlainResponse } from "../http/plain-response.ts";
import { databasesOf, databaseWarden } from "./database-warden.ts";
import { done, reply } from "./inbox-call.ts";
import { mcpCall } from "./mcp.ts";
import { modelCall } from "./model-call.ts";
import { modelList } from "./model-list.ts";
import { route, type DoorRequest } from "./route.ts";
import { recordRefusal } from "./ask.ts";
import { repositoriesOf, repositoryWarden } from "./repository-warden.ts";
import type { Caller, DoorServices } from "./services.ts";
import { withTask } from "./task-call.ts";
import { toolCall } from "./tool-call.ts";
import { Unread } from "./unread.ts";
import { webWarden } from "./web-warden.ts";
import { refusalBodyFor } from "./unmetered.ts";

/** The listener of one sandbox. Its socket is the identity: whoever can connect to it is `caller`, whatever a request says. */
export class Door implements DoorListener {
  readonly #services: DoorServices;
  readonly #caller: Caller;
  readonly #server: Server;
  readonly #deadlines: Deadlines;
  /** Absent: Node's server reads everything. */
  readonly #plain: PlainLeg | undefined;
  readonly #bucket: TokenBucket;
  readonly #pace: ConnectionPace;
  readonly #unread: Unread;
  readonly #web: WebSession | undefined;
  readonly #databases: DatabaseLane | undefined;
  readonly #repositories: RepositoryLane | undefined;
  readonly #activity: Activity;
  /** Of the loop, for what one sandbox asks: its burst of requests would be everybody's time. */
  readonly #turns: Turns;
  readonly #memory: MemoryShare;
  readonly #owed = new OwedAnswers();
  #concurrent = 0;
  #used = false;

  constructor(services: DoorServices, caller: Caller) {
    const { door } = limits;
    this.#services = services;
    this.#caller = caller;
    this.#activity = new Activity(services.clock);
    const bucket = new TokenBucket(services.clock, door.requestsBurst, door.requestsPerSecond);
    this.#bucket = bucket;
    this.#turns = new Turns(services.clock, {
      spent: (ms) => bucket.charge((ms * door.requestsPerSecond) / 1000 / door.longReadsShareMax),
      get inDebt() {
        return bucket.inDebt;
      },
    });
    this.#memory = services.bodies.share();
    this.#deadlines = new Deadlines(services.clock);
    this.#server = createServer(
      {
        maxHeaderSize: door.headerBytesMax,
        headersTimeout: door.headTimeoutMs,
        // `#waitFor` has the deadlines of bodies: not each has the same.
        requestTimeout: 0,
        keepAliveTimeout: door.keepAliveMs,
        connectionsCheckingInterval: 1_000,
        // One reading of a request only: the parser refuses what two parsers could read differently (RFC 9112 §6.3).
        insecureHTTPParser: false,
        requireHostHeader: false,
        // Anything else that asks to go on in another protocol is read as the plain request that it is as well.
        shouldUpgradeCallback: ({ url, headers }) =>
          (url === doorRoutes.databases && headers.upgrade === "postgres") ||
          (url === doorRoutes.repositories && headers.upgrade === "git"),
      },
      (request, response) => {
        response.on("error", () => response.destroy());
        this.#owed.add(request, response);
        this.#take(request, response);
      },
    );
    if (services.http1 !== "node")
      this.#plain = new PlainLeg(
        this.#server,
        { clock: services.clock, deadlines: this.#deadlines },
        (request, response) => this.#take(request, response),
      );
    this.#server.maxHeadersCount = door.headerCountMax;
    this.#pace = new ConnectionPace(this.#server, services.clock);
    this.#unread = new Unread(this.#server);
    this.#server.on("clientError", (_error, socket) => socket.destroy());
    this.#web = services.web?.session(caller.sandbox, webWarden(services, caller), services.http1 !== "node");
    this.#server.on("connect", (request, socket, head) => {
      if (!this.#mayLeave(request, socket) || !this.#web) return void socket.destroy();
      this.#activity.begin();
      socket.once("close", () => this.#activity.end());
      return this.#web.connect(request.url ?? "", socket, head);
    });
    this.#databases = services.postgres?.lane(databaseWarden(services, caller));
    this.#repositories = services.ssh?.lane(repositoryWarden(services, caller));
    this.#server.on("upgrade", (request, socket, head) => {
      const { url, headers } = request;
      const lane = url === doorRoutes.repositories ? this.#repositories : this.#databases;
      if (!this.#mayLeave(request, socket) || !lane) return void socket.destroy();
      this.#activity.begin();
      socket.once("close", () => this.#activity.end());
      const agreed = `connection: upgrade\r\nupgrade: ${headers.upgrade ?? ""}`;
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${agreed}\r\n\r\n`);
      if (head.length > 0) socket.unshift(head);
      return lane.enter(socket);
    });
    this.#server.on("drop", () => this.#flood("connections"));
  }

  listen(socketPath: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(socketPath, () => {
      this.#server.off("error", reject);
      resolve();
    });
    return promise;
  }

  idleForMs(): number {
    return this.#activity.idleForMs();
  }

  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    this.#plain?.closeAll();
    this.#deadlines.close();
    this.#pace.close();
    return Promise.all([promise, this.#web?.close(), this.#databases?.close(), this.#repositories?.close()]).then(
      () => {},
    );
  }

  #take(request: HttpRequest, response: HttpResponse): void {
    if (this.#turns.open) return this.#admit(request, response);
    this.#turns.later(() => response.destroyed || this.#admit(request, response));
  }

  /** Whether a connection may go on in another protocol. Node's server has let go of it: nobody else hears of its errors. */
  #mayLeave(request: IncomingMessage, socket: Duplex): boolean {
    socket.on("error", () => socket.destroy());
    return !this.#owed.on(request) && this.#bucket.take();
  }

  #admit(request: HttpRequest, response: HttpResponse): void {
    if (!this.#bucket.take()) return this.#turnAway(request, response, "requests");
    if (this.#concurrent >= limits.door.requestsConcurrentMax) return this.#turnAway(request, response, "concurrency");
    if (this.#unread.bytes > limits.door.unreadBytesMax) return this.#turnAway(request, response, "unread answers");
    const cost = new BodyCost(this.#turns, this.#memory);
    chargeTo(request, cost);
    void this.#serve(request, response, cost);
  }

  async #serve(request: HttpRequest, response: HttpResponse, cost: BodyCost): Promise<void> {
    this.#concurrent++;
    if (!this.#used)
      this.#services.monitor.emit("sandbox.awake", this.#caller.agent, { sandbox: this.#caller.sandbox });
    this.#used = true;
    let active = false;
    try {
      // A whole address (RFC 9112 §3.2.2): the sandbox takes the door for a proxy.
      const proxied = this.#proxied(request, response);
      if (!proxied) this.#waitFor(request);
      const routed = proxied ? undefined : route(request.method ?? "", request.url ?? "");
      const asked = routed?.ok ? routed.value : undefined;
      if (asked?.kind === "inbox") await this.#inbox(response, asked.waitMs);
      else {
        this.#activity.begin();
        active = true;
        await (asked ? this.#answer(asked, request, response) : this.#other(routed, proxied, request, response));
      }
    } catch (error) {
      // The store has failed: refuse, and let the mesh end. Anything else is a bug of ours and ends this request only.
      if (!(error instanceof StoreFailure))
        this.#services.monitor.emit("mesh.fault", this.#caller.agent, { error: String(error).slice(0, 400) });
      sendRefusal(response, refusal("store_failed", "the decision could not be recorded", "look at the mesh's log"));
    } finally {
      cost.end();
      if (active) this.#activity.end();
      this.#concurrent--;
    }
  }

  /** What is no request of the door. */
  #other(
    routed: ReturnType<typeof route> | undefined,
    proxied: (() => Promise<void>) | undefined,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> | undefined {
    return routed && !routed.ok ? this.#refuse(response, routed.error, request) : proxied?.();
  }

  /** To the web by its whole address. */
  #proxied(request: HttpRequest, response: HttpResponse): (() => Promise<void>) | undefined {
    const web = this.#web;
    // The plain leg reads paths only.
    if (!web || request instanceof PlainRequest || response instanceof PlainResponse) return undefined;
    return /^[A-Za-z]+:/.test(request.url ?? "") ? () => web.request(request, response, null) : undefined;
  }

  /** A body is whole in time; only one to the web takes as long as it moves (`WebSession`). */
  #waitFor(request: HttpRequest): void {
    // The plain leg has its own.
    if (request instanceof PlainRequest) return;
    const { "content-length": length = "0", "transfer-encoding": coding } = request.headers;
    if (length === "0" && coding === undefined) return;
    const body = { expire: (): void => void (request.complete || request.socket.destroy()) };
    request.once("close", () => this.#deadlines.clear(body));
    this.#deadlines.set(body, limits.door.requestTimeoutMs);
  }

  /** One that is waited for by its caller alone: each promise on the way costs every call. */
  #answer(asked: Exclude<DoorRequest, { kind: "inbox" }>, request: HttpRequest, response: HttpResponse): Soon<void> {
    switch (asked.kind) {
      case "self":
        return sendJson(response, 200, this.#services.selves.get(this.#caller.agent));
      case "model":
        return modelCall(this.#services, this.#caller, asked, request, response);
      case "mcp":
        return mcpCall(this.#services, this.#caller, request, response);
      case "authority":
        return sendText(response, this.#web?.interception.authority.pem ?? "");
      case "databases":
        return sendJson(response, 200, databasesOf(this.#services, this.#caller));
      case "repositories":
        return sendJson(response, 200, repositoriesOf(this.#services, this.#caller));
      case "models":
        return sendJson(response, 200, modelList(this.#services, this.#caller));
      default:
        return this.#act(request, response, asked);
    }
  }

  async #act(
    request: HttpRequest,
    response: HttpResponse,
    asked: Extract<DoorRequest, { kind: "tool" | "done" | "reply" }>,
  ): Promise<void> {
    const body = await readJson(request, limits.door.toolBodyBytesMax);
    if (!body.ok) return this.#refuse(response, body.error, request);
    const gone = new AbortController();
    response.once("close", () => response.writableFinished || gone.abort());
    const result = await this.#perform(asked, body.value.value, gone.signal);
    if (!result.ok) return sendRefusal(response, result.error);
    if (result.value === null) return sendNothing(response);
    sendJson(response, 200, result.value);
  }

  #perform(
    asked: Extract<DoorRequest, { kind: "tool" | "done" | "reply" }>,
    body: Json,
    signal: AbortSignal,
  ): Promise<Result<unknown, Refusal>> {
    switch (asked.kind) {
      case "tool":
        return toolCall(this.#services, this.#caller, asked.tool, body, signal);
      case "reply":
        return reply(this.#services, this.#caller, asked.message, body);
      case "done":
        return done(this.#services, this.#caller, asked.message);
    }
  }

  async #inbox(response: HttpResponse, waitMs: number): Promise<void> {
    const halted = this.#services.halted(this.#caller.agent);
    if (halted) return sendRefusal(response, halted);
    const gone = new AbortController();
    response.once("close", () => response.writableFinished || gone.abort());
    const delivery = await this.#services.inboxes.next(this.#caller.agent, waitMs, gone.signal);
    // Nobody is there to take it: it may be handed out again at once.
    if (gone.signal.aborted) return delivery && this.#services.inboxes.forgetLease(this.#caller.agent);
    if (!delivery) return sendNothing(response);
    this.#activity.begin();
    this.#activity.end();
    sendJson(response, 200, await withTask(this.#services, this.#caller, delivery));
  }

  /** Requests that are not understood are evidence, too. */
  async #refuse(response: HttpResponse, refused: Refusal, request: HttpRequest): Promise<void> {
    const about = {
      verb: "door.request",
      method: (request.method ?? "").slice(0, 16),
      path: (request.url ?? "").slice(0, 200),
    };
    await recordRefusal(this.#services, this.#caller, about, refused);
    sendRefusal(response, refused, refusalBodyFor(request.url ?? "", refused));
  }

  #turnAway(request: HttpRequest, response: HttpResponse, what: string): void {
    this.#flood(what);
    this.#waitFor(request);
    sendRefusal(
      response,
      refusal(
        "rate_limited",
        `too many ${what} from this sandbox`,
        `at most ${limits.door.requestsPerSecond} requests a second, ${limits.door.requestsConcurrentMax} at once`,
      ),
    );
  }

  #flood(what: string): void {
    this.#services.monitor.emitSparsely("door.flood", this.#caller.agent, { what });
  }
}
