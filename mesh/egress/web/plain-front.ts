import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { fieldLine } from "../../http/fields.ts";
import { OWN, type Front, type Lender, type Told } from "./front.ts";
import type { Field, RawHead } from "./head.ts";

/** Up to here bytes are written in one piece with what stands before them. */
const COPIED_BYTES_MAX = 8 * 1_024;
const LAST_CHUNK = "0\r\n\r\n";
/** `content-length`, a number of as many digits as there are, and the end of the head. */
const LENGTH_LINE_CHARS_MAX = "content-length: \r\n\r\n".length + String(Number.MAX_SAFE_INTEGER).length;

/** What a front needs to know of its connection. */
interface Bearer {
  readonly socket: Duplex;
  /** After this answer the connection can carry another. */
  readonly keeps: boolean;
  /** All of the answer was handed to the socket. */
  answered(keeps: boolean): void;
}

/** The front of a request that was read in its plain form, whole: its answer goes straight to the connection. */
export class PlainFront implements Front {
  readonly head: RawHead;
  readonly body = null;
  readonly whole: Buffer | null;
  readonly #bearer: Bearer;
  readonly #socket: Duplex;
  /** Of the answer, as long as it is not written: without what says where it ends. */
  #text = "";
  /** The beginning of a body that may be all of it, behind room for what stands before it. */
  #first: Buffer | null = null;
  #room = 0;
  #framing: "unknown" | "sized" | "chunked" = "unknown";
  #answered = false;
  #over = false;
  #closed = false;
  #onClose: (() => void) | null = null;

  constructor(head: RawHead, whole: Buffer | null, bearer: Bearer) {
    this.head = head;
    this.whole = whole;
    this.#bearer = bearer;
    this.#socket = bearer.socket;
  }

  started(): boolean {
    return this.#answered || this.#closed;
  }

  answer(status: number, told: Told): void {
    const lines = (told.lines ??= linesOf(status, told.fields));
    const sized = status === 204 || status === 304 || told.fields.some(isLength);
    if (sized) this.#framing = "sized";
    this.#answered = true;
    this.#text = `${lines}connection: ${this.#bearer.keeps ? "keep-alive" : "close"}\r\n`;
    // What comes in the same turn goes out with it in one piece.
    process.nextTick(flush, this);
  }

  write(bytes: Buffer, lender: Lender): boolean {
    if (this.#over || this.#socket.destroyed) return true;
    if (this.#framing === "unknown") {
      if (this.#first === null && bytes.length <= COPIED_BYTES_MAX) {
        this.#room = this.#text.length + LENGTH_LINE_CHARS_MAX;
        this.#first = Buffer.allocUnsafe(this.#room + bytes.length);
        bytes.copy(this.#first, this.#room);
        return true;
      }
      this.#chunked();
    }
    const sized = this.#framing === "sized";
    this.#send(sized ? "" : `${bytes.length.toString(16)}\r\n`, bytes, sized ? "" : "\r\n", lender);
    return !this.#socket.writableNeedDrain;
  }

  end(bytes?: Buffer): void {
    if (this.#over) return;
    if (this.#framing === "unknown") {
      // All of it is here, so its length is known.
      this.#framing = "sized";
      const first = this.#first;
      const length = (first ? first.length - this.#room : 0) + (bytes?.length ?? 0);
      this.#text += `content-length: ${length}\r\n`;
      if (first) this.#sendFirst(first);
      if (bytes) this.#send("", bytes, "", OWN);
    } else if (this.#framing === "chunked") {
      const size = bytes ? `${bytes.length.toString(16)}\r\n` : "";
      this.#send(size, bytes ?? NOTHING, bytes ? `\r\n${LAST_CHUNK}` : LAST_CHUNK, OWN);
    } else if (bytes) this.#send("", bytes, "", OWN);
    this.flush();
    this.#over = true;
    this.#bearer.answered(this.#bearer.keeps);
  }

  onDrain(act: () => void): void {
    this.#socket.once("drain", act);
  }

  onClose(act: (() => void) | null): void {
    this.#onClose = act;
    if (this.#closed) act?.();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The connection has gone. */
  closed(): void {
    this.#closed = true;
    this.#onClose?.();
  }

  /** Whether the client was told anything that it has not taken yet. */
  get waitsForClient(): boolean {
    return this.#answered && this.#socket.writableNeedDrain;
  }

  #chunked(): void {
    this.#framing = "chunked";
    this.#text += "transfer-encoding: chunked\r\n";
    const first = this.#first?.subarray(this.#room);
    this.#first = null;
    if (first) this.#send(`${first.length.toString(16)}\r\n`, first, "\r\n", OWN);
  }

  /** The head, and what came after it in the same turn. */
  flush(): void {
    if (this.#over || this.#text === "") return;
    // More may come, and nobody has said how much.
    if (this.#framing === "unknown") this.#chunked();
    if (this.#text !== "") this.#socket.write(this.#taken(), "latin1");
  }

  #taken(): string {
    const text = this.#text;
    this.#text = "";
    return text === "" ? "" : `${text}\r\n`;
  }

  /** In the piece in which it is, with the head before it. */
  #sendFirst(first: Buffer): void {
    this.#first = null;
    const head = this.#taken();
    const from = this.#room - head.length;
    first.write(head, from, "latin1");
    this.#socket.write(first.subarray(from));
  }

  #send(before: string, bytes: Buffer, after: string, lender: Lender): void {
    const head = this.#taken() + before;
    const socket = this.#socket;
    if (bytes.length <= COPIED_BYTES_MAX) {
      const piece = Buffer.allocUnsafe(head.length + bytes.length + after.length);
      piece.write(head, 0, "latin1");
      bytes.copy(piece, head.length);
      if (after !== "") piece.write(after, head.length + bytes.length, "latin1");
      socket.write(piece);
      return;
    }
    const together = head !== "" || after !== "";
    if (together) socket.cork();
    if (head !== "") socket.write(head, "latin1");
    socket.write(bytes, lender.lend());
    if (after !== "") socket.write(after, "latin1");
    if (together) socket.uncork();
  }
}

const NOTHING = Buffer.alloc(0);
const flush = (front: PlainFront): void => front.flush();

const isLength = ([name]: Field): boolean => name === "content-length";

/** The first line and the fields of an answer. */
function linesOf(status: number, fields: readonly Field[]): string {
  let lines = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  for (const [name, value] of fields) {
    // RFC 9110 §8.6.
    if (status !== 204 || name !== "content-length") lines += fieldLine(name, value);
  }
  return lines;
}
