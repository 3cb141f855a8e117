import type { Readable } from "node:stream";

/**
 * Messages of the PostgreSQL protocol, version 3.0 (PostgreSQL 18, chapter 54): a type of one byte, a length of four
 * that counts itself, the body. The first message of a client has no type.
 */
export interface Frame {
  /** One ASCII character; "" of a first message. */
  readonly type: string;
  /** The whole message, as it travels. */
  readonly raw: Buffer;
  readonly body: Buffer;
}

/** The other side does not keep to the protocol, or to a limit: its connection ends. */
export class ProtocolFault extends Error {}

/** Reads whole messages, none of them longer than it is told; nothing is read ahead of who asks. */
export class FrameReader {
  readonly #pieces: AsyncIterator<Buffer>;
  #held: Buffer[] = [];
  #bytes = 0;

  constructor(stream: Readable) {
    this.#pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Something has come that nobody has asked for yet. */
  get ahead(): boolean {
    return this.#bytes > 0;
  }

  /** Null: the stream has ended between two messages. */
  async next(bytesMax: number, typed = true): Promise<Frame | null> {
    const lead = typed ? 1 : 0;
    const head = await this.#peek(lead + 4);
    if (!head) return null;
    const length = head.readInt32BE(lead);
    if (length < 4 || length > bytesMax)
      throw new ProtocolFault(`a message of ${length} bytes: from 4 to ${bytesMax} are taken`);
    const raw = await this.#take(lead + length);
    return { type: typed ? raw.toString("latin1", 0, 1) : "", raw, body: raw.subarray(lead + 4) };
  }

  async #peek(count: number): Promise<Buffer | null> {
    if (!(await this.#gather(count))) {
      if (this.#bytes > 0) throw new ProtocolFault("the stream ended within a message");
      return null;
    }
    const whole = Buffer.concat(this.#held);
    this.#held = [whole];
    return whole.subarray(0, count);
  }

  async #take(count: number): Promise<Buffer> {
    if (!(await this.#gather(count))) throw new ProtocolFault("the stream ended within a message");
    const whole = this.#held.length === 1 && this.#held[0] ? this.#held[0] : Buffer.concat(this.#held);
    this.#held = whole.length > count ? [whole.subarray(count)] : [];
    this.#bytes = whole.length - count;
    return whole.subarray(0, count);
  }

  async #gather(count: number): Promise<boolean> {
    while (this.#bytes < count) {
      const { value, done } = await this.#pieces.next();
      if (done === true) return false;
      this.#held.push(value);
      this.#bytes += value.length;
    }
    return true;
  }
}

export function frame(type: string, ...parts: readonly (string | Uint8Array)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
  const head = Buffer.alloc(type.length + 4);
  head.write(type, "latin1");
  head.writeInt32BE(body.length + 4, type.length);
  return Buffer.concat([head, body]);
}

export function int32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeInt32BE(value, index * 4));
  return bytes;
}

/** A text that ends with a zero byte, from `at` on. */
export function textAt(body: Buffer, at: number): { readonly text: string; readonly next: number } {
  const end = body.indexOf(0, at);
  if (end < 0) throw new ProtocolFault("a text without its end");
  return { text: body.toString("utf8", at, end), next: end + 1 };
}

/** ErrorResponse. `code` is a SQLSTATE (PostgreSQL 18, appendix A). */
export function errorFrame(severity: "ERROR" | "FATAL", code: string, reason: string, hint: string): Buffer {
  const field = (letter: string, text: string): string => `${letter}${text.replaceAll("\0", " ")}\0`;
  const fields = [field("S", severity), field("V", severity), field("C", code), field("M", `cordon: ${reason}`)];
  return frame("E", fields.join(""), field("H", hint), "\0");
}
