import type { Duplex, Readable } from "node:stream";
import { gitFrames } from "../../../../protocol/git-frames.ts";

/** A client does not keep to the protocol, or to a limit, or nothing more is carried for it: its session ends. */
export class SessionFault extends Error {}

/** What the client's `ssh` is told: bytes of standard output and error, and at last the code to end with. */
export class FrameWriter {
  readonly #client: Duplex;

  constructor(client: Duplex) {
    this.#client = client;
  }

  out(bytes: Buffer): Promise<void> {
    return this.#write(gitFrames.out, bytes);
  }

  error(text: string): Promise<void> {
    return this.#write(gitFrames.error, Buffer.from(text));
  }

  /** The last one. */
  exit(code: number): void {
    if (!this.#client.destroyed && this.#client.writable)
      this.#client.end(frame(gitFrames.exit, Buffer.of(code & 0xff)));
  }

  /** Resolves when the client can take more, or is gone. */
  async #write(type: number, bytes: Buffer): Promise<void> {
    if (this.#client.destroyed || !this.#client.writable) throw new SessionFault("the client has gone");
    if (this.#client.write(frame(type, bytes))) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#client.once("drain", resolve).once("close", resolve);
    await promise;
    this.#client.off("drain", resolve).off("close", resolve);
  }
}

function frame(type: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(type);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** What a client sends: one line, then what its git says. Nothing is read ahead of who asks. */
export class ClientReader {
  readonly #pieces: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    // A client that has said all still waits for its answer: the end of its words must not end the stream.
    this.#pieces = stream.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  }

  /** Without its end; null: the stream has ended before one. Throws SessionFault for a longer one. */
  async line(bytesMax: number): Promise<Buffer | null> {
    for (;;) {
      const end = this.#held.indexOf(0x0a);
      if (end > bytesMax || (end < 0 && this.#held.length > bytesMax))
        throw new SessionFault(`the first line is longer than ${bytesMax} bytes`);
      if (end >= 0) {
        const line = this.#held.subarray(0, end);
        this.#held = this.#held.subarray(end + 1);
        return line;
      }
      const { value, done } = await this.#pieces.next();
      if (done === true) return null;
      this.#held = Buffer.concat([this.#held, value]);
    }
  }

  /** Whatever there is next; null: no more comes. */
  async piece(): Promise<Buffer | null> {
    if (this.#held.length > 0) {
      const held = this.#held;
      this.#held = Buffer.alloc(0);
      return held;
    }
    const { value, done } = await this.#pieces.next();
    return done === true ? null : value;
  }
}
