import type { Server } from "node:http";
import type { Socket } from "node:net";
import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import { fieldLine, flat } from "./fields.ts";
import type { Deadlines } from "./deadlines.ts";
import { PlainConnection, type Host } from "./plain-connection.ts";
import type { PlainRequest } from "./plain-request.ts";
import type { PlainResponse } from "./plain-response.ts";

/**
 * Stands before a Node server: requests in the plain form in which programs write them are read and answered here, for a
 * fraction of the cost. With the first bytes of anything else the whole connection goes to the server, which keeps its own
 * bounds and deadlines; the number of connections is bounded by the server for both.
 */
export class PlainLeg implements Host {
  readonly deadlines: Deadlines;
  readonly #clock: Clock;
  readonly #handle: (request: PlainRequest, response: PlainResponse) => void;
  readonly #toServer: (socket: Socket) => void;
  readonly #connections = new Set<PlainConnection>();
  #dateS = 0;
  #dateLine = "";
  /** Of the answer before: most say the same. */
  #fields: Readonly<Record<string, string>> | undefined;
  #lines = "";

  constructor(
    server: Server,
    { clock, deadlines }: { readonly clock: Clock; readonly deadlines: Deadlines },
    handle: (request: PlainRequest, response: PlainResponse) => void,
  ) {
    this.#clock = clock;
    this.#handle = handle;
    this.deadlines = deadlines;
    const [own, ...others] = server.listeners("connection");
    assert(own !== undefined && others.length === 0, "a server has one listener of its own for connections");
    server.off("connection", own as () => void);
    this.#toServer = (socket) => void own.call(server, socket);
    server.on("connection", (socket: Socket) => this.#connections.add(new PlainConnection(socket, this)));
  }

  handle(request: PlainRequest, response: PlainResponse): void {
    this.#handle(request, response);
  }

  handOver(socket: Socket, bytes: Buffer): void {
    socket.pause();
    socket.unshift(bytes);
    this.#toServer(socket);
    socket.resume();
  }

  gone(connection: PlainConnection): void {
    this.#connections.delete(connection);
  }

  /** RFC 9110 §6.6.1. */
  dateLine(): string {
    const nowMs = this.#clock.nowMs();
    const nowS = Math.floor(nowMs / 1_000);
    if (nowS !== this.#dateS) {
      this.#dateS = nowS;
      this.#dateLine = flat(`date: ${new Date(nowMs).toUTCString()}\r\n`);
    }
    return this.#dateLine;
  }

  linesOf(fields: Readonly<Record<string, string>>): string {
    if (fields === this.#fields) return this.#lines;
    let lines = "";
    for (const name in fields) lines += fieldLine(name, fields[name] ?? "");
    this.#lines = lines;
    this.#fields = fields;
    return lines;
  }

  closeAll(): void {
    for (const connection of this.#connections) connection.socket.destroy();
  }
}
