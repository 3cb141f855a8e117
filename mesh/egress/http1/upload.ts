import type { Socket } from "node:net";
import type { Readable } from "node:stream";

/** A body that comes while it is sent. */
export interface Source {
  readonly stream: Readable;
  /** As its head says it; null: in chunks (RFC 9112 §7.1). */
  readonly bytes: number | null;
}

interface Ends {
  /** A piece has gone. */
  moved(): void;
  /** It is not what its head says, or does not come to its end: the connection cannot be used any more. */
  broken(error: Error): void;
}

const fault = (message: string): Error => Object.assign(new Error(message), { code: "BROKEN_REQUEST" });

/**
 * Carries a body to a connection, no faster than the other end takes it. The head goes with the first piece: of a body that
 * is refused at its beginning nothing is seen.
 */
export class Upload {
  readonly #socket: Socket;
  #head: string;
  readonly #source: Source;
  readonly #ends: Ends;
  #sent = 0;
  whole = false;

  constructor(socket: Socket, head: string, source: Source, ends: Ends) {
    this.#socket = socket;
    this.#head = head;
    this.#source = source;
    this.#ends = ends;
    // It broke while the connection was made.
    if (source.stream.destroyed) this.#break("the body ended early");
    else this.#follow(source.stream);
  }

  #follow(stream: Readable): void {
    stream.on("error", this.#onError).on("close", this.#onClose).on("end", this.#onEnd).on("data", this.#onData);
  }

  /** Nothing more is sent. Whoever made the stream ends it. */
  stop(): void {
    const { stream } = this.#source;
    stream.off("error", this.#onError).off("close", this.#onClose).off("end", this.#onEnd).off("data", this.#onData);
    this.#socket.off("drain", this.#onDrain);
    // What it says later is for nobody.
    stream.on("error", () => {});
  }

  readonly #onData = (piece: Buffer): void => {
    const { stream, bytes } = this.#source;
    if (piece.length === 0) return;
    this.#sent += piece.length;
    // More than was said would be the beginning of another request.
    if (bytes !== null && this.#sent > bytes) return this.#break("the body is longer than its head says");
    this.#ends.moved();
    if (this.#write(piece)) return;
    stream.pause();
    this.#socket.once("drain", this.#onDrain);
  };

  #write(piece: Buffer): boolean {
    const chunked = this.#source.bytes === null;
    const before = this.#taken() + (chunked ? `${piece.length.toString(16)}\r\n` : "");
    this.#socket.cork();
    if (before !== "") this.#socket.write(before, "latin1");
    let goesOn = this.#socket.write(piece);
    if (chunked) goesOn = this.#socket.write("\r\n", "latin1");
    this.#socket.uncork();
    return goesOn;
  }

  #taken(): string {
    const head = this.#head;
    this.#head = "";
    return head;
  }

  readonly #onDrain = (): void => {
    this.#ends.moved();
    this.#source.stream.resume();
  };

  readonly #onEnd = (): void => {
    const { bytes } = this.#source;
    if (bytes !== null && this.#sent < bytes) return this.#break("the body is shorter than its head says");
    const last = this.#taken() + (bytes === null ? "0\r\n\r\n" : "");
    if (last !== "") this.#socket.write(last, "latin1");
    this.whole = true;
  };

  readonly #onError = (error: Error): void => {
    this.stop();
    this.#ends.broken(error);
  };

  readonly #onClose = (): void => {
    if (!this.whole) this.#break("the body ended early");
  };

  #break(why: string): void {
    this.stop();
    this.#ends.broken(fault(why));
  }
}
