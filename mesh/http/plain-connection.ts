import type { Socket } from "node:net";
import { limits } from "../../protocol/limits.ts";
import type { Deadlines, Mortal } from "./deadlines.ts";
import { PlainRequest } from "./plain-request.ts";
import { PlainResponse, type Bearer } from "./plain-response.ts";
import { beginsRequestHead, KnownHead, readRequestHead } from "./request-head.ts";

/** What a connection works with. */
export interface Host {
  readonly deadlines: Deadlines;
  dateLine(): string;
  linesOf(fields: Readonly<Record<string, string>>): string;
  handle(request: PlainRequest, response: PlainResponse): void;
  /** These bytes, and what comes after them, are for a reader that knows all of HTTP. */
  handOver(socket: Socket, bytes: Buffer): void;
  gone(connection: PlainConnection): void;
}

const NOTHING = Buffer.alloc(0);

/**
 * One connection of a client, one request after the other: the next one is read when the answer to the one before has
 * left. Whatever is not a request in its plain form, whole in one piece, takes the connection with it to Node's server.
 */
export class PlainConnection implements Bearer, Mortal {
  due: Mortal["due"] = undefined;
  readonly socket: Socket;
  readonly #host: Host;
  readonly #known = new KnownHead();
  #request: PlainRequest | undefined;
  #response: PlainResponse | undefined;
  /** What has come of the requests after this one. */
  #held: Buffer = NOTHING;
  #mayKeep = true;
  #leaving = false;

  constructor(socket: Socket, host: Host) {
    this.socket = socket;
    this.#host = host;
    socket.on("data", this.#onData).on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onClose);
    host.deadlines.set(this, limits.door.headTimeoutMs);
  }

  /** What of a body was not read would be taken for the next request. */
  get keeps(): boolean {
    return this.#mayKeep && this.#request?.whole === true;
  }

  dateLine(): string {
    return this.#host.dateLine();
  }

  linesOf(fields: Readonly<Record<string, string>>): string {
    return this.#host.linesOf(fields);
  }

  /** No request in time, or a body that does not end. */
  expire(): void {
    this.socket.destroy();
  }

  answered(keeps: boolean): void {
    this.#response = undefined;
    if (!keeps) return this.#leave();
    // An answer that waits to be read stands before the next request, however slowly it is read.
    if (this.socket.writableLength > 0) this.socket.write(NOTHING, () => this.#next());
    else if (this.#held.length > 0 || this.socket.isPaused()) queueMicrotask(() => this.#next());
    else this.#idle();
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#leaving) return;
    if (!this.#request) return this.#begin(this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes);
    const request = this.#request;
    const rest = request.whole ? bytes : this.#more(request, bytes);
    if (rest.length > 0) this.#hold(rest);
  };

  readonly #onEnd = (): void => {
    // What has been answered is still to arrive. Who sends nothing more and has no answer yet will not read it either.
    if (this.#leaving || (!this.#response && this.socket.writableLength > 0)) this.socket.end();
    else this.socket.destroy();
  };

  readonly #onError = (): void => {
    this.socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#host.deadlines.clear(this);
    this.#request?.breakOff();
    this.#response?.closed();
    this.#host.gone(this);
  };

  #begin(bytes: Buffer): void {
    const head = readRequestHead(bytes, this.#known);
    if (!head) return beginsRequestHead(bytes) ? this.#await(bytes) : this.#handOver(bytes);
    this.#held = NOTHING;
    const request = new PlainRequest(head, this.socket);
    const rest = request.push(bytes.subarray(head.bytes));
    this.#request = request;
    this.#mayKeep = head.keeps;
    const response = new PlainResponse(this);
    this.#response = response;
    if (rest.length > 0) this.#hold(rest);
    if (request.whole) this.#host.deadlines.clear(this);
    else this.#host.deadlines.set(this, limits.door.requestTimeoutMs);
    this.#host.handle(request, response);
  }

  /** The rest of a head. A server made to read half a one would cost more than all else about its connection. */
  #await(bytes: Buffer): void {
    if (this.#held.length === 0) this.#host.deadlines.set(this, limits.door.headTimeoutMs);
    this.#held = bytes;
  }

  /** More of a body. */
  #more(request: PlainRequest, bytes: Buffer): Buffer {
    const rest = request.push(bytes);
    if (request.whole) this.#host.deadlines.clear(this);
    else if (request.unwantedBytes > limits.http.heldBytesMax) this.socket.pause();
    return rest;
  }

  #hold(bytes: Buffer): void {
    this.#held = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes;
    if (this.#held.length > limits.http.heldBytesMax) this.socket.pause();
  }

  #idle(): void {
    this.#request = undefined;
    this.#host.deadlines.set(this, limits.door.keepAliveMs);
  }

  #next(): void {
    // One that could not be written to is about to end.
    if (this.socket.destroyed || this.socket.errored) return;
    this.#idle();
    const held = this.#held;
    this.#held = NOTHING;
    if (held.length > 0) this.#begin(held);
    if (this.#held.length <= limits.http.heldBytesMax && this.socket.isPaused()) this.socket.resume();
  }

  /** The client may still be sending: it is to read the answer before it learns that nobody listens. */
  #leave(): void {
    this.#leaving = true;
    this.#held = NOTHING;
    this.#request?.breakOff();
    // Also the last answer may be read as slowly as its reader likes.
    this.#host.deadlines.clear(this);
    this.socket.end(() => this.#host.deadlines.set(this, limits.door.headTimeoutMs));
    this.socket.resume();
  }

  #handOver(bytes: Buffer): void {
    this.#host.deadlines.clear(this);
    this.#host.gone(this);
    const { socket } = this;
    socket.off("data", this.#onData).off("end", this.#onEnd).off("error", this.#onError).off("close", this.#onClose);
    this.#host.handOver(socket, bytes);
  }
}
