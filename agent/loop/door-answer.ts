import { limits } from "../../protocol/limits.ts";

/** What an answer tells as it comes. */
export interface AnswerSink {
  /** Names in lower case; of a name that comes twice, the last. */
  head(status: number, fields: ReadonlyMap<string, string>): void;
  body(bytes: Buffer): void;
}

const NOTHING = Buffer.alloc(0);
const LINE_END = "\r\n";
const STATUS = /^HTTP\/1\.1 ([1-5]\d\d)(?: [^\r\n]*)?$/;
const CHUNK = /^([0-9A-Fa-f]{1,8})(?:[;\t ][^\r\n]*)?$/;

/**
 * Reads one answer of HTTP/1.1 (RFC 9112) in whatever pieces it comes. The agent's own, because Node's client costs as much to
 * load and to use a few times as the rest of an agent together. Strict: whatever the door does not send is a fault.
 */
export class AnswerReader {
  readonly #sink: AnswerSink;
  /** What takes the next bytes: it returns how many it has used, 0 when it needs more. */
  #take: (bytes: Buffer) => number = (bytes) => this.#head(bytes);
  #held: Buffer = NOTHING;
  #left = 0;
  #untilEnd = false;
  #fault: string | undefined;
  done = false;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  /** Returns what is wrong with it, if so. */
  push(bytes: Buffer): string | undefined {
    let rest = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes;
    this.#held = NOTHING;
    while (rest.length > 0 && !this.done && this.#fault === undefined) {
      const used = this.#take(rest);
      if (used === 0) {
        if (rest.length > limits.door.headerBytesMax) return "a head or a line of the answer is too long";
        this.#held = rest;
        break;
      }
      rest = rest.subarray(used);
    }
    return this.#fault;
  }

  /** Nothing more will come. Returns what is wrong with that, if so. */
  end(): string | undefined {
    if (this.#untilEnd && this.#fault === undefined) this.done = true;
    return this.done ? undefined : (this.#fault ?? "the answer broke off");
  }

  #fail(fault: string): number {
    this.#fault = fault;
    return 1;
  }

  #head(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return 0;
    const [first = "", ...lines] = bytes.toString("latin1", 0, end).split(LINE_END);
    const status = Number(STATUS.exec(first)?.[1] ?? 0);
    if (status < 200) return this.#fail("the answer is not one of HTTP/1.1");
    const fields = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon < 1) return this.#fail("a field of the answer has no name");
      fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    this.#sink.head(status, fields);
    return this.#frame(status, fields) ?? end + 4;
  }

  /** How the body is framed (RFC 9112 §6.3). */
  #frame(status: number, fields: ReadonlyMap<string, string>): number | undefined {
    const [coding, length] = [fields.get("transfer-encoding"), fields.get("content-length")];
    if (coding !== undefined && (coding.toLowerCase() !== "chunked" || length !== undefined))
      return this.#fail("the answer is framed in a way that is not known");
    if (length !== undefined && !/^\d{1,15}$/.test(length)) return this.#fail("the answer has no readable length");
    if (status === 204 || status === 304 || length === "0") this.done = true;
    else if (coding !== undefined) this.#take = (bytes) => this.#chunk(bytes);
    else if (length !== undefined) this.#sized(Number(length), () => void (this.done = true));
    else {
      this.#untilEnd = true;
      this.#take = (bytes) => (this.#sink.body(bytes), bytes.length);
    }
    return undefined;
  }

  #sized(length: number, then: () => void): void {
    this.#left = length;
    this.#take = (bytes) => {
      const part = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
      this.#left -= part.length;
      this.#sink.body(part);
      if (this.#left === 0) then();
      return part.length;
    };
  }

  #chunk(bytes: Buffer): number {
    const end = bytes.indexOf(LINE_END);
    if (end < 0) return 0;
    const size = CHUNK.exec(bytes.toString("latin1", 0, end))?.[1];
    if (size === undefined) return this.#fail("a chunk of the answer has no readable size");
    const length = Number.parseInt(size, 16);
    if (length > 0) this.#sized(length, () => void (this.#take = (rest) => this.#chunkEnd(rest)));
    else this.#take = (rest) => this.#trailer(rest);
    return end + 2;
  }

  #chunkEnd(bytes: Buffer): number {
    if (bytes.length < 2) return 0;
    if (bytes[0] !== 0x0d || bytes[1] !== 0x0a) return this.#fail("a chunk of the answer is longer than its size");
    this.#take = (rest) => this.#chunk(rest);
    return 2;
  }

  /** Fields after the last chunk are read over. */
  #trailer(bytes: Buffer): number {
    const end = bytes.indexOf(LINE_END);
    if (end < 0) return 0;
    if (end === 0) this.done = true;
    return end + 2;
  }
}
