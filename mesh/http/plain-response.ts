import type { Socket } from "node:net";
import { limits } from "../../protocol/limits.ts";
import { fieldLine, flat } from "./fields.ts";

/** What a response needs to know of its connection. */
export interface Bearer {
  readonly socket: Socket;
  /** The `date` line of now. */
  dateLine(): string;
  /** `fields` as they are written; throws for what no field may hold. */
  linesOf(fields: Readonly<Record<string, string>>): string;
  /** After this answer the connection can carry another. */
  readonly keeps: boolean;
  /** All of the answer was handed to the socket. */
  answered(keeps: boolean): void;
}

const KEEP_ALIVE = flat(`connection: keep-alive\r\nkeep-alive: timeout=${limits.door.keepAliveMs / 1_000}\r\n`);
const NO_FIELDS: Readonly<Record<string, string>> = {};
const LAST_CHUNK = "0\r\n\r\n";

/** The answer to a plain request: the part of Node's ServerResponse that the mesh uses, each call of it one write. */
export class PlainResponse {
  headersSent = false;
  writableEnded = false;
  writableFinished = false;
  readonly #bearer: Bearer;
  #fields = NO_FIELDS;
  /** The head, until it has been written. */
  #head = "";
  #chunked = false;
  #keeps = true;
  #gone = false;
  #onClose: (() => void)[] | undefined;

  constructor(bearer: Bearer) {
    this.#bearer = bearer;
  }

  get destroyed(): boolean {
    return this.#gone || this.#bearer.socket.destroyed;
  }

  get writableNeedDrain(): boolean {
    return this.#bearer.socket.writableNeedDrain;
  }

  once(event: "close" | "drain", listener: () => void): void {
    if (event === "drain") this.#bearer.socket.once("drain", listener);
    else if (this.#onClose) this.#onClose.push(listener);
    else this.#onClose = [listener];
  }

  setHeader(name: string, value: string): void {
    this.#fields = { ...this.#fields, [name]: value };
  }

  /** Names in lower case. Without a `content-length` the body goes out in chunks. Throws for what no field may hold. */
  writeHead(status: number, fields: Readonly<Record<string, string | number>> = {}): void {
    const own = this.#fields;
    let head = firstLine(status) + this.#bearer.dateLine();
    let asksForEnd = own["connection"] === "close";
    let sized = status === 204 || status === 304 || own["content-length"] !== undefined;
    for (const name in own) if (name !== "connection") head += fieldLine(name, own[name] ?? "");
    for (const name in fields) {
      const value = fields[name] ?? "";
      if (name === "connection") asksForEnd ||= value === "close";
      else head += fieldLine(name, value);
      if (name === "content-length") sized = true;
    }
    this.#keeps = this.#bearer.keeps && !asksForEnd;
    this.#chunked = !sized;
    head += this.#chunked ? "transfer-encoding: chunked\r\n" : "";
    this.#head = `${head}${this.#keeps ? KEEP_ALIVE : "connection: close\r\n"}\r\n`;
    this.headersSent = true;
  }

  /** An answer in one piece. `fields` say nothing of how it is framed; `lines` were written with `fieldLine`. */
  whole(status: number, fields: Readonly<Record<string, string>>, lines: string, body: Buffer): void {
    const own = `${this.#bearer.linesOf(fields)}${lines}content-length: ${body.length}\r\n`;
    this.#keeps = this.#bearer.keeps;
    const keeps = this.#keeps ? KEEP_ALIVE : "connection: close\r\n";
    this.#head = `${firstLine(status)}${this.#bearer.dateLine()}${own}${keeps}\r\n`;
    this.headersSent = true;
    this.end(body);
  }

  flushHeaders(): void {
    if (!this.headersSent) this.writeHead(200);
    const head = this.#taken();
    if (head !== "" && !this.destroyed) this.#bearer.socket.write(head, "latin1");
  }

  /** False when it must be waited for `drain`. */
  write(bytes: Buffer): boolean {
    if (this.writableEnded || this.destroyed || bytes.length === 0) return true;
    if (!this.headersSent) this.writeHead(200);
    return this.#bearer.socket.write(this.#framed(this.#taken(), bytes, ""));
  }

  end(body: string | Buffer = "", encoding: "utf8" | "latin1" = "utf8"): void {
    if (this.writableEnded) return;
    if (!this.headersSent) this.writeHead(200);
    this.writableEnded = true;
    if (this.destroyed) return;
    this.#writeLast(body, encoding);
    this.writableFinished = true;
    this.#bearer.answered(this.#keeps);
    this.closed();
  }

  #writeLast(body: string | Buffer, encoding: "utf8" | "latin1"): void {
    const { socket } = this.#bearer;
    const last = this.#chunked ? LAST_CHUNK : "";
    // An empty chunk would be the last one.
    if (body.length === 0) {
      const text = this.#taken() + last;
      if (text !== "") socket.write(text, "latin1");
    }
    // As text it shares one piece with the head, which is ASCII.
    else if (typeof body === "string" && !this.#chunked) socket.write(this.#taken() + body, encoding);
    else socket.write(this.#framed(this.#taken(), typeof body === "string" ? Buffer.from(body, encoding) : body, last));
  }

  destroy(): void {
    this.#bearer.socket.destroy();
  }

  /** The connection has gone, or what was asked is answered. */
  closed(): void {
    this.#gone ||= !this.writableFinished;
    const listeners = this.#onClose;
    this.#onClose = undefined;
    if (listeners) for (const listener of listeners) listener();
  }

  #taken(): string {
    const head = this.#head;
    this.#head = "";
    return head;
  }

  /** One piece: a stream of small events costs a call of the kernel for each. */
  #framed(head: string, bytes: Buffer, last: string): Buffer {
    const digits = this.#chunked ? hexDigitsOf(bytes.length) : 0;
    const around = this.#chunked ? digits + 2 * CR_LF_BYTES : 0;
    const piece = Buffer.allocUnsafe(head.length + around + bytes.length + last.length);
    let at = head === "" ? 0 : piece.write(head, 0, "latin1");
    if (this.#chunked) {
      for (let n = digits, rest = bytes.length; n > 0; rest >>>= 4) piece[at + --n] = HEX.charCodeAt(rest & 0xf);
      at = endLine(piece, at + digits);
    }
    piece.set(bytes, at);
    at += bytes.length;
    if (this.#chunked) at = endLine(piece, at);
    if (last !== "") piece.write(last, at, "latin1");
    return piece;
  }
}

/** What stands after the number is for nobody to read (RFC 9112 §4). */
const firstLine = (status: number): string => (status === 200 ? "HTTP/1.1 200 OK\r\n" : `HTTP/1.1 ${status} \r\n`);

const HEX = "0123456789abcdef";
const CR_LF_BYTES = 2;

/** Of a number above 0. */
const hexDigitsOf = (size: number): number => (35 - Math.clz32(size)) >>> 2;

/** Returns the offset after it. */
function endLine(bytes: Buffer, at: number): number {
  bytes[at] = 0x0d;
  bytes[at + 1] = 0x0a;
  return at + CR_LF_BYTES;
}
