import type { Socket } from "node:net";
import type { Dispatcher } from "undici";
import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import { AnswerReader, type Asked } from "../../http/answer-reader.ts";
import type { Fields } from "../../http/fields.ts";
import type { Deadlines, Mortal } from "../../http/deadlines.ts";
import type { Turns } from "../../http/turns.ts";
import type { Memory } from "./read-buffer.ts";
import { NotConnected } from "./not-connected.ts";
import { Upload, type Source } from "./upload.ts";

/** One request, ready to be written. */
export interface Sending {
  /** The whole head, in Latin-1. */
  readonly head: string;
  readonly body: Buffer;
  /** What follows the head in the place of `body`. */
  readonly source?: Source | undefined;
  /** Absent: as to a POST. */
  readonly asked?: Asked | undefined;
  /** From here, or from the last piece of a source, until the head of the answer. */
  readonly firstByteMs: number;
  /** Between two pieces of the answer; absent: as for models. */
  readonly quietMs?: number | undefined;
  readonly handler: Dispatcher.DispatchHandler;
  /** Asked when there is a connection: whether the credential in the head may still be used. Absent: there is none. */
  readonly stands?: (() => boolean) | undefined;
}

/** What a connection has to say to its pool. */
export interface Owner {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Absent: what comes is told at once. */
  readonly turns?: Turns | undefined;
  /** It can carry another exchange, and will for so long. */
  free(connection: Connection, keptMs: number): void;
  gone(connection: Connection): void;
}

/** Up to here a head and its body are written as one piece. */
const ONE_PIECE_BYTES_MAX = 64 * 1024;

const nothing = (): void => {};
const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code });

/**
 * One connection to a provider: one exchange at a time, and another one only after an answer that was whole, framed
 * soundly and read to its end.
 */
export class Connection implements Mortal {
  due: Mortal["due"] = undefined;
  readonly #socket: Socket;
  readonly #owner: Owner;
  /** Absent: each read has memory of its own. */
  readonly #memory: Memory | undefined;
  readonly #reins: Reins = {
    lend: () => this.#memory?.lend() ?? nothing,
    pause: (exchange, yes) => this.#exchange === exchange && this.#pause(yes),
    abort: (exchange) => this.#exchange === exchange && this.close(),
  };
  /** What was read, and waits for a turn of the loop that has time for it. Nothing more is read meanwhile. */
  #waiting: Buffer | undefined;
  #upload: Upload | undefined;
  #exchange: Exchange | undefined;
  /** When it went on last without a new deadline: a piece of the request left, or the answer was resumed. */
  #movedAtMs = 0;

  /** `socket` is connected, and who is at its other end is verified; `memory` is what it reads into. */
  constructor(socket: Socket, owner: Owner, memory?: Memory) {
    this.#socket = socket;
    this.#owner = owner;
    this.#memory = memory;
    memory?.take((bytes) => this.#read(bytes));
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("end", () => this.#ended());
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(failure("ECONNRESET", "the connection was closed")));
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.readable && this.#socket.writable;
  }

  send({
    head,
    body,
    source,
    asked,
    firstByteMs,
    quietMs = limits.model.idleTimeoutMs,
    handler,
    stands,
  }: Sending): void {
    const exchange = new Exchange(handler, asked, this.#reins, { firstByteMs, quietMs });
    this.#exchange = exchange;
    this.#owner.deadlines.set(this, firstByteMs);
    handler.onRequestStart?.(exchange, {});
    if (exchange.aborted) return;
    // It may have waited long, for a connection or for the disk.
    if (stands?.() === false) return this.#fail(new NotConnected("CREDENTIAL_REVOKED"));
    if (source) this.#follow(head, source);
    else this.#write(head, body);
  }

  close(): void {
    this.#owner.deadlines.clear(this);
    this.#socket.destroy();
  }

  /** Its time is up: of the answer's head, between two pieces of a body, or to be kept for another exchange. */
  expire(): void {
    if (!this.#exchange) return this.close();
    const { begun, paused, firstByteMs, quietMs } = this.#exchange;
    const mostMs = begun ? quietMs : firstByteMs;
    // An agent that reads slowly is not the other end's fault; the call as a whole, or its own connection, has an end.
    const forMs = paused ? 0 : this.#owner.clock.monotonicMs() - this.#movedAtMs;
    if (forMs < mostMs) return this.#owner.deadlines.set(this, mostMs - forMs);
    if (!begun) return this.#fail(failure("HEAD_TIMEOUT", "no answer has begun in time"));
    this.#fail(failure("BODY_TIMEOUT", "the answer has stopped"));
  }

  #follow(head: string, source: Source): void {
    this.#upload = new Upload(this.#socket, head, source, {
      moved: () => (this.#movedAtMs = this.#owner.clock.monotonicMs()),
      broken: (error) => this.#fail(error),
    });
  }

  #write(head: string, body: Buffer): void {
    if (head.length + body.length <= ONE_PIECE_BYTES_MAX) {
      const piece = Buffer.allocUnsafe(head.length + body.length);
      piece.write(head, 0, "latin1");
      piece.set(body, head.length);
      this.#socket.write(piece);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, "latin1");
    this.#socket.write(body);
    this.#socket.uncork();
  }

  #pause(yes: boolean): void {
    if (yes) return void this.#socket.pause();
    this.#movedAtMs = this.#owner.clock.monotonicMs();
    this.#socket.resume();
  }

  #read(chunk: Buffer): void {
    const { turns } = this.#owner;
    if (this.#waiting) this.#waiting = Buffer.concat([this.#waiting, chunk]);
    else if (!turns || turns.open) this.#take(chunk);
    else {
      this.#waiting = Buffer.from(chunk);
      this.#socket.pause();
      turns.later(() => this.#catchUp());
    }
  }

  /** Before an end, too: TLS tells of it in the call in which the last bytes came, also to who has paused. */
  #catchUp(): void {
    const bytes = this.#waiting;
    this.#waiting = undefined;
    if (!bytes) return;
    this.#take(bytes);
    if (!this.#exchange?.paused && !this.#socket.destroyed) this.#socket.resume();
  }

  #take(chunk: Buffer): void {
    const exchange = this.#exchange;
    // Nothing was asked: whatever this is, it is no answer.
    if (!exchange) return this.close();
    const fault = this.#told(exchange, chunk);
    if (exchange.aborted) return;
    if (fault instanceof Error) return this.#fail(fault);
    if (fault !== undefined) return this.#fail(failure("MALFORMED_ANSWER", fault));
    if (exchange.reader.over) this.#done(exchange);
    else if (exchange.begun) this.#owner.deadlines.set(this, exchange.quietMs);
  }

  /** What a handler cannot go on with ends its exchange, and not the process. */
  #told(exchange: Exchange, chunk: Buffer): string | Error | undefined {
    try {
      return exchange.reader.push(chunk);
    } catch (error) {
      return error as Error;
    }
  }

  #ended(): void {
    this.#catchUp();
    const reader = this.#exchange?.reader;
    if (!this.#exchange || !reader) return this.close();
    const fault = reader.finish();
    if (fault !== undefined) return this.#fail(failure("ECONNRESET", fault));
    this.#done(this.#exchange);
  }

  #done(exchange: Exchange): void {
    this.#exchange = undefined;
    const { keeps, keptMs } = exchange.reader;
    // What is still unsent of the request, or unread, would be taken for a part of the next.
    const sent = this.#upload?.whole ?? true;
    this.#upload?.stop();
    this.#upload = undefined;
    const sound = keeps && sent && !exchange.paused && this.#socket.writableLength === 0 && this.isOpen;
    if (sound) this.#owner.free(this, keptMs ?? limits.http.idleMs);
    else this.close();
    try {
      exchange.handler.onResponseEnd?.(exchange, {});
    } catch (error) {
      // As in `#told`: an answer can be whole, and still more than its reader can read.
      if (!exchange.aborted) exchange.handler.onResponseError?.(exchange, error as Error);
    }
  }

  #fail(error: Error): void {
    this.#catchUp();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#upload?.stop();
    this.close();
    this.#owner.gone(this);
    if (exchange && !exchange.aborted) exchange.handler.onResponseError?.(exchange, error);
  }
}

/** What an exchange may do to its connection; after its end, nothing. */
interface Reins {
  lend(): () => void;
  pause(exchange: Exchange, yes: boolean): void;
  abort(exchange: Exchange): void;
}

type Patience = Pick<Sending, "firstByteMs"> & { readonly quietMs: number };

export class Exchange implements Dispatcher.DispatchController {
  readonly handler: Dispatcher.DispatchHandler;
  readonly reader: AnswerReader;
  readonly firstByteMs: number;
  readonly quietMs: number;
  readonly #reins: Reins;
  begun = false;
  paused = false;
  aborted = false;
  reason: Error | null = null;

  constructor(handler: Dispatcher.DispatchHandler, asked: Asked | undefined, reins: Reins, patience: Patience) {
    this.handler = handler;
    this.#reins = reins;
    this.firstByteMs = patience.firstByteMs;
    this.quietMs = patience.quietMs;
    this.reader = new AnswerReader(this, asked);
  }

  /** The bytes that were told last are still needed after the call in which they were: until what is returned is called. */
  lend(): () => void {
    return this.#reins.lend();
  }

  head(status: number, fields: Fields): void {
    this.begun = true;
    if (!this.aborted) this.handler.onResponseStart?.(this, status, fields);
  }

  data(bytes: Buffer): void {
    if (!this.aborted) this.handler.onResponseData?.(this, bytes);
  }

  /** The connection tells of it, once it is free. */
  end(): void {}

  pause(): void {
    this.paused = true;
    this.#reins.pause(this, true);
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#reins.pause(this, false);
  }

  abort(reason: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#reins.abort(this);
  }
}
