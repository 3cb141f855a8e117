import type { Duplex } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import type { Deadlines, Mortal } from "../../http/deadlines.ts";
import { KnownFields, readRequestHead, type RequestHead } from "../../http/request-head.ts";
import type { Front } from "./front.ts";
import type { RawHead } from "./head.ts";
import { PlainFront } from "./plain-front.ts";

interface Ends {
  asked(front: Front): void;
  /** The connection is for a reader that knows all of HTTP; its bytes are to be read again. */
  handOver(socket: Duplex): void;
}

/** The request before on the connection: most programs say the same again. */
interface Before {
  /** Of its head. */
  readonly bytes: Buffer;
  readonly head: RequestHead;
  readonly raw: RawHead;
}

const NOTHING = Buffer.alloc(0);

const startsWith = (bytes: Buffer, beginning: Buffer): boolean =>
  bytes.length >= beginning.length && bytes.compare(beginning, 0, beginning.length, 0, beginning.length) === 0;

/** What the fields of a request say; the one object for all that says the same. */
function spokenOf(headers: RequestHead["headers"]): Pick<RawHead, "authorities" | "fields" | "said"> {
  const { host, ...others } = headers;
  return { authorities: host === undefined ? [] : [host], fields: Object.entries(others), said: {} };
}

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
  #before: Before | undefined;
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
    const request = this.#read(bytes);
    if (!request) return this.#handOver(bytes);
    const { head, raw } = request;
    const end = head.bytes + head.length;
    this.#mayKeep = head.keeps;
    if (bytes.length > end) this.#held = bytes.subarray(end);
    this.#deadlines.set(this, limits.web.idleTimeoutMs);
    const whole = head.length > 0 ? bytes.subarray(head.bytes, end) : null;
    this.#front = new PlainFront(raw, whole, this);
    this.#ends.asked(this.#front);
  }

  /** The request that `bytes` begin with, if it is whole and in its plain form. */
  #read(bytes: Buffer): Before | undefined {
    const before = this.#before;
    const isSame = before !== undefined && startsWith(bytes, before.bytes);
    const head = isSame ? before.head : readRequestHead(bytes, this.#known);
    if (!head || bytes.length - head.bytes < head.length) return undefined;
    if (isSame) return before;
    const { method, target, headers } = head;
    const { authorities, fields, said } = before?.head.headers === headers ? before.raw : spokenOf(headers);
    const raw = { method, target, authorities, fields, upgrade: false, ...(said && { said }) };
    return (this.#before = { bytes: Buffer.from(bytes.subarray(0, head.bytes)), head, raw });
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
