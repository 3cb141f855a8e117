import type { Duplex } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import type { Deadlines, Mortal } from "../../http/deadlines.ts";
import { KnownFields, readRequestHead, type RequestHead } from "../../http/request-head.ts";
import type { Front } from "./front.ts";
import { PlainFront, spokenOf, type Spoken } from "./plain-front.ts";

interface Ends {
  asked(front: Front): void;
  /** The connection is for a reader that knows all of HTTP; its bytes are to be read again. */
  handOver(socket: Duplex): void;
}

const NOTHING = Buffer.alloc(0);

/**
 * HTTP/1.1 in a tunnel, as most programs write it: a request that comes whole, in its plain form, is read and answered
 * here, one after the other. With the first bytes of anything else the connection goes to Node's reader for good.
 */
export class PlainTunnel implements Mortal {
  due: Mortal["due"] = undefined;
  readonly socket: Duplex;
  readonly #deadlines: Deadlines;
  readonly #ends: Ends;
  #front: PlainFront | undefined;
  #mayKeep = true;
  #leaving = false;
  readonly #known = new KnownFields();
  #headers: RequestHead["headers"] | undefined;
  #spoken: Spoken | undefined;
  /** What has come of the requests after this one. */
  #held: Buffer = NOTHING;

  constructor(socket: Duplex, deadlines: Deadlines, ends: Ends) {
    this.socket = socket;
    this.#deadlines = deadlines;
    this.#ends = ends;
    deadlines.set(this, limits.web.idleTimeoutMs);
    socket.on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onClose).on("data", this.#onData);
  }

  get keeps(): boolean {
    return this.#mayKeep;
  }

  /** Nothing was asked any more, or the client does not take its answer. What the far end owes has its own deadlines. */
  expire(): void {
    if (this.#leaving || !this.#front || this.#front.waitsForClient) return void this.socket.destroy();
    this.#deadlines.set(this, limits.web.idleTimeoutMs);
  }

  answered(keeps: boolean): void {
    this.#front = undefined;
    if (!keeps) return this.#leave();
    const unread = this.socket.writableNeedDrain;
    this.#deadlines.set(this, unread ? limits.web.idleTimeoutMs : limits.door.keepAliveMs);
    // An answer that waits to be read stands before the next request, however slowly it is read.
    if (this.#held.length > 0 || this.socket.isPaused() || unread) this.socket.write(NOTHING, () => this.#next());
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#leaving) return;
    if (!this.#front && this.#held.length === 0 && !this.socket.writableNeedDrain) return this.#begin(bytes);
    this.#held = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes;
    if (this.#held.length > limits.http.heldBytesMax) this.socket.pause();
  };

  readonly #onEnd = (): void => {
    // Who sends nothing more and has no answer yet will not read it either.
    if (this.#front) this.socket.destroy();
    else this.socket.end();
  };

  readonly #onError = (): void => {
    this.socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#deadlines.clear(this);
    this.#front?.closed();
  };

  #begin(bytes: Buffer): void {
    const head = readRequestHead(bytes, this.#known);
    const isWhole = head !== undefined && bytes.length - head.bytes >= head.length;
    if (!isWhole) return this.#handOver(bytes);
    const end = head.bytes + head.length;
    this.#mayKeep = head.keeps;
    if (bytes.length > end) this.#held = bytes.subarray(end);
    this.#deadlines.set(this, limits.web.idleTimeoutMs);
    const whole = head.length > 0 ? bytes.subarray(head.bytes, end) : null;
    this.#front = new PlainFront(head, this.#spokenBy(head), whole, this);
    this.#ends.asked(this.#front);
  }

  #spokenBy({ headers }: RequestHead): Spoken {
    if (!this.#spoken || this.#headers !== headers) this.#spoken = spokenOf(headers);
    this.#headers = headers;
    return this.#spoken;
  }

  #next(): void {
    if (this.#front || this.socket.destroyed || this.socket.errored || this.#leaving) return;
    const held = this.#held;
    this.#held = NOTHING;
    if (held.length > 0) this.#begin(held);
    if (this.#held.length <= limits.http.heldBytesMax && this.socket.isPaused()) this.socket.resume();
  }

  /** The client may still be sending: it is to read the answer before it learns that nobody listens. */
  #leave(): void {
    this.#leaving = true;
    this.#held = NOTHING;
    this.socket.end();
    this.socket.resume();
    this.#deadlines.set(this, limits.door.headTimeoutMs);
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this;
    this.#deadlines.clear(this);
    socket.off("end", this.#onEnd).off("error", this.#onError).off("close", this.#onClose).off("data", this.#onData);
    socket.pause();
    socket.unshift(bytes);
    this.#ends.handOver(socket);
    socket.resume();
  }
}
