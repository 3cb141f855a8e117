import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, TLSSocket } from "node:tls";
import type { Dispatcher } from "undici";
import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Asked } from "../../http/answer-reader.ts";
import { fieldLine, flat, headBytesMax } from "../../http/fields.ts";
import type { Deadlines } from "../../http/deadlines.ts";
import { Connection, type Owner, type Sending } from "./connection.ts";
import { NotConnected } from "./not-connected.ts";
import type { Turns } from "../../http/turns.ts";
import { ReadBuffer, type Memory } from "./read-buffer.ts";

export interface Place {
  /** `http:` or `https:`; of its path nothing is used. */
  readonly url: URL;
  /** Instead of its host and port. */
  readonly socketPath?: string;
  /** Instead of all of it. */
  readonly dial?: Dial;
  /** What comes from there waits for a fair share of the loop. */
  readonly turns?: Turns;
  /** For how long a connection is kept at most that nobody uses. */
  readonly keptMsMax?: number;
}

/** Opens connections to a place that was checked before: whom, how and by which trust is not for the pool to say. */
export interface Dial {
  /** Ways to the same place, tried one after the other. */
  readonly choices: number;
  open(choice: number): { readonly socket: Socket; readonly memory: Memory };
}

export interface Post {
  /** Path and query, as they are written. */
  readonly path: string;
  /** Field lines that were written with `fieldLine`; absent: none. */
  readonly lines?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Throws for what would be read as more than one line, or not at all. `method` is one that the mesh knows. */
export function requestLine(method: string, target: string): string {
  if (!TARGET.test(target)) throw Object.assign(new Error("no target of a request"), { code: "ERR_INVALID_CHAR" });
  return `${method} ${target} HTTP/1.1\r\n`;
}

const TARGET = /^\/[\x21-\x7e]*$/;
/** So much before the server closes a connection it is not used any more. */
const MARGIN_MS = 1_000;

/**
 * Connections to one place. Nothing is ever sent a second time: what a provider is asked costs money, and what the web is
 * asked may do something.
 * The latest connection is used first, and one that is idle no longer than the server keeps it.
 */
export class Pool implements Owner {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly turns: Turns | undefined;
  readonly #memory = new ReadBuffer();
  readonly #place: Place;
  readonly #host: string;
  /** Of the post before: most others have its path and its lines. */
  #path = "";
  #lines = "";
  /** How such a one starts. */
  #start = "";
  readonly #asked: Asked = { bodiless: false, headBytesMax, known: {} };
  readonly #connectionsMax: number;
  #keptMsMax: number;
  readonly #connections = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #queue = new Set<Sending>();
  readonly #opening = new Set<Socket>();
  #session: Buffer | undefined;
  #closed = false;

  constructor(place: Place, clock: Clock, deadlines: Deadlines, connectionsMax: number = limits.model.connectionsMax) {
    this.#connectionsMax = connectionsMax;
    this.#keptMsMax = place.keptMsMax ?? limits.http.idleMsMax;
    this.#place = place;
    this.turns = place.turns;
    this.clock = clock;
    this.deadlines = deadlines;
    this.#host = fieldLine("host", place.url.host);
  }

  /** Throws when the request cannot be written as one. */
  sendingOf(
    { path, lines = "", headers, body }: Post,
    firstByteMs: number,
    handler: Dispatcher.DispatchHandler,
    stands?: Sending["stands"],
  ): Sending {
    if (path !== this.#path || lines !== this.#lines) {
      this.#start = flat(`${requestLine("POST", path)}${this.#host}connection: keep-alive\r\n${lines}`);
      this.#path = path;
      this.#lines = lines;
    }
    let head = this.#start;
    for (const name in headers) head += fieldLine(name, headers[name] ?? "");
    head += `content-length: ${body.length}\r\n\r\n`;
    return { head, body, asked: this.#asked, firstByteMs, handler, stands };
  }

  /** A head that was written with `fieldLine`, whole. What happens to it is told to its handler alone. */
  send(sending: Sending): void {
    if (this.#closed) throw Object.assign(new Error("the pool is closed"), { code: "ECONNABORTED" });
    for (let idle; (idle = this.#idle.pop());) if (idle.isOpen) return idle.send(sending);
    if (this.#connections.size + this.#opening.size < this.#connectionsMax) return this.#open(sending);
    this.#wait(sending);
  }

  /** What is under way goes on; nothing is kept after it. */
  retire(): void {
    this.#keptMsMax = 0;
    for (const each of this.#idle.splice(0)) each.close();
  }

  destroy(): void {
    this.#closed = true;
    for (const each of this.#opening) each.destroy();
    for (const each of this.#connections) each.close();
    this.#queue.clear();
  }

  free(connection: Connection, keptMs: number): void {
    const [next] = this.#queue;
    if (next && !this.#closed) {
      this.#queue.delete(next);
      // After all that is still to be told of the exchange before it.
      return void setImmediate(() => (connection.isOpen ? connection.send(next) : this.#open(next)));
    }
    const forMs = Math.min(keptMs, this.#keptMsMax) - MARGIN_MS;
    if (forMs <= 0 || this.#closed) return connection.close();
    this.deadlines.set(connection, forMs);
    this.#idle.push(connection);
  }

  gone(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#next();
  }

  /** There is room for a connection. */
  #next(): void {
    const [next] = this.#queue;
    if (!next || this.#closed) return;
    this.#queue.delete(next);
    this.#open(next);
  }

  /** Until a connection is free. */
  #wait(sending: Sending): void {
    this.#queue.add(sending);
    const abort = (): void => void this.#queue.delete(sending);
    sending.handler.onRequestStart?.(new Waiting(abort), {});
  }

  #open(sending: Sending, choice = 0): void {
    const { handler } = sending;
    const { dial } = this.#place;
    const { socket, memory } = dial ? dial.open(choice) : this.#dial();
    const settle = (): void => {
      this.#opening.delete(socket);
      this.deadlines.clear(expiry);
      socket.off("error", onError).off("close", onClose);
    };
    const fail = (code: string, cause?: Error): void => {
      settle();
      socket.on("error", () => {}).destroy();
      if (dial && choice + 1 < dial.choices && !controller.aborted && !this.#closed)
        return this.#open(sending, choice + 1);
      if (!controller.aborted) handler.onResponseError?.(controller, new NotConnected(code, cause));
      this.#next();
    };
    const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.name, error);
    const onClose = (): void => fail("ECONNRESET");
    const controller = new Waiting(() => fail("ABORTED"));
    const expiry = { expire: () => fail("CONNECT_TIMEOUT") };
    this.#opening.add(socket);
    this.deadlines.set(expiry, limits.http.connectMs);
    socket.once("error", onError).once("close", onClose);
    // Before the other end is verified not a byte is given to it.
    socket.once(this.#place.url.protocol === "https:" ? "secureConnect" : "connect", () => {
      settle();
      if (this.#closed) return void socket.destroy();
      // Its own check ends it before; this holds should that ever be changed.
      if (socket instanceof TLSSocket && !socket.authorized) return void fail("NOT_VERIFIED");
      const connection = new Connection(socket, this, memory);
      this.#connections.add(connection);
      connection.send(sending);
    });
    handler.onRequestStart?.(controller, {});
  }

  #dial(): { readonly socket: Socket; readonly memory: Memory } {
    const { url, socketPath } = this.#place;
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const { memory, onread } = this.#memory.share();
    const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, onread };
    const to =
      socketPath === undefined ? { host, port: Number(url.port || DEFAULT_PORTS[url.protocol]) } : { path: socketPath };
    if (url.protocol !== "https:") return { socket: connect({ ...options, ...to }), memory };
    const socket = connectTls({
      ...{ ...options, ...to },
      ALPNProtocols: ["http/1.1"],
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(this.#session ? { session: this.#session } : {}),
    });
    socket.on("session", (session: Buffer) => (this.#session = session));
    return { socket, memory };
  }
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/** Of a request for which there is no connection yet. */
class Waiting implements Dispatcher.DispatchController {
  readonly paused = false;
  aborted = false;
  reason: Error | null = null;
  readonly #onAbort: () => void;

  constructor(onAbort: () => void) {
    this.#onAbort = onAbort;
  }

  abort(reason: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#onAbort();
  }
  pause(): void {}
  resume(): void {}
}
