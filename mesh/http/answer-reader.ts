import { limits } from "../../protocol/limits.ts";
import { HEAD_END, headBytesMax, headEnd, lengthOf, readFields, type Fields } from "./fields.ts";
import { KnownLines } from "./known-lines.ts";

/** What an answer consists of, as it is read. `data` is valid for the call only, where the memory of a read is used again. */
export interface AnswerEvents {
  head(status: number, fields: Fields): void;
  data(bytes: Buffer): void;
  end(): void;
}

type Place = "head" | "sized" | "chunk size" | "chunk" | "chunk end" | "trailer" | "until close" | "over";

const NOTHING = Buffer.alloc(0);
const CR = 0x0d;
const LF = 0x0a;
/** 9 digits can say more than any answer may have, and stay exact. */
const SIZE_DIGITS_MAX = 8;
const STATUS_LINE = /^HTTP\/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?$/;

const USUAL = "HTTP/1.1 200 OK\r\n";
const MINOR_AT = "HTTP/1.".length;
const STATUS_AT = "HTTP/1.1 ".length;
const ZERO = 0x30;

/** How an answer is read otherwise than one to a POST. */
export interface Asked {
  /** HEAD: its head says the length of a body that does not come. */
  readonly bodiless: boolean;
  readonly headBytesMax: number;
  /** Of the answer before from the same place: most say the same again. */
  readonly known?: KnownAnswer;
}

/** Of the last answer: the same text again is the same head, and its `Fields` the same object. */
export interface KnownAnswer {
  head?: AnswerHead;
  lines?: KnownLines;
}

/** What a head says. */
interface AnswerHead {
  readonly text: string;
  readonly status: number;
  readonly fields: Fields;
  readonly keeps: boolean;
  readonly keptMs: number | undefined;
  /** Of its body; Infinity: until the connection closes. */
  readonly length: number | "chunked";
}
const POST: Asked = { bodiless: false, headBytesMax };

/**
 * Reads one answer (RFC 9112), strictly: what two readers could frame in two ways is a fault. The bytes of one
 * `push` are told as one piece, whatever chunks they came in; they are taken over, and moved together in their place.
 */
export class AnswerReader {
  readonly #events: AnswerEvents;
  readonly #asked: Asked;
  #place: Place = "head";
  /** The beginning of a head, of a line or of trailers. */
  #held: Buffer = NOTHING;
  #missing = 0;
  #interim = 0;
  #keeps = false;
  /** What the server says of how long it keeps the connection. */
  keptMs: number | undefined;

  constructor(events: AnswerEvents, asked: Asked = POST) {
    this.#events = events;
    this.#asked = asked;
  }

  get begun(): boolean {
    return this.#place !== "head" || this.#held.length > 0;
  }

  get over(): boolean {
    return this.#place === "over";
  }

  /** The connection can carry another exchange. */
  get keeps(): boolean {
    return this.#place === "over" && this.#keeps;
  }

  /** Returns what is wrong, if anything: then nothing more of this connection can be believed. */
  push(chunk: Buffer): string | undefined {
    let bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = NOTHING;
    while (this.#place === "head") {
      const most = this.#asked.headBytesMax;
      const end = headEnd(bytes, most);
      if (end < 0) return bytes.length > most ? "its head is too long" : this.#hold(bytes);
      const fault = this.#head(bytes.toString("latin1", 0, end + 2));
      if (fault !== undefined) return fault;
      bytes = bytes.subarray(end + HEAD_END.length);
      if (bytes.length === 0) return undefined;
    }
    return this.#body(bytes);
  }

  /** The connection has ended. Returns what is missing, if anything. */
  finish(): string | undefined {
    if (this.#place !== "until close") return "it ended early";
    this.#end();
    return undefined;
  }

  #hold(bytes: Buffer): undefined {
    this.#held = Buffer.from(bytes);
  }

  #head(text: string): string | undefined {
    const { known, bodiless } = this.#asked;
    const head = known?.head?.text === text ? known.head : readHead(text, known);
    if (typeof head === "string") return head;
    const { status, fields, length } = head;
    if (status < 200) {
      if (status === 101 || ++this.#interim > limits.http.interimAnswersMax) return `it answered ${status}`;
      return undefined;
    }
    if (known) known.head = head;
    this.#keeps = head.keeps;
    this.keptMs = head.keptMs;
    this.#missing = 0;
    if (status === 204 || status === 304 || bodiless) this.#place = "sized";
    else if (length === "chunked") this.#place = "chunk size";
    else if (length === Infinity) this.#place = "until close";
    else {
      this.#place = "sized";
      this.#missing = length;
    }
    this.#events.head(status, fields);
    if (this.#place === "sized" && this.#missing === 0) this.#end();
    return undefined;
  }

  #body(bytes: Buffer): string | undefined {
    switch (this.#place) {
      case "sized": {
        if (bytes.length > this.#missing) this.#keeps = false;
        const own = bytes.length > this.#missing ? bytes.subarray(0, this.#missing) : bytes;
        this.#missing -= own.length;
        if (own.length > 0) this.#events.data(own);
        if (this.#missing === 0) this.#end();
        return undefined;
      }
      case "until close":
        this.#events.data(bytes);
        return undefined;
      case "over":
        // Nobody has asked for it.
        if (bytes.length > 0) this.#keeps = false;
        return undefined;
      default:
        return this.#chunks(bytes);
    }
  }

  /** Walks the framing, and moves what it frames together. */
  #chunks(bytes: Buffer): string | undefined {
    let at = 0;
    let from = 0;
    let to = 0;
    let fault: string | undefined;
    while (at < bytes.length && fault === undefined && this.#place !== "over") {
      if (this.#place === "chunk") {
        const own = Math.min(this.#missing, bytes.length - at);
        if (to === from) from = to = at;
        else if (to !== at) bytes.copyWithin(to, at, at + own);
        to += own;
        at += own;
        this.#missing -= own;
        if (this.#missing === 0) this.#place = "chunk end";
        continue;
      }
      const after = this.#place === "trailer" ? this.#trailer(bytes, at) : this.#line(bytes, at);
      if (typeof after === "string") fault = after;
      else if (after < 0) {
        this.#held = Buffer.from(bytes.subarray(at));
        break;
      } else at = after;
    }
    // What was framed soundly is told, whatever comes after it.
    if (to > from) this.#events.data(bytes.subarray(from, to));
    if (fault !== undefined) return fault;
    if (this.#place === "over") {
      if (at < bytes.length) this.#keeps = false;
      this.#events.end();
    }
    return undefined;
  }

  /** The end of a chunk, or the size of the next one: the offset after it, -1 when it is not there yet, or what is wrong. */
  #line(bytes: Buffer, at: number): number | string {
    if (this.#place === "chunk end") {
      if (bytes[at] !== CR || (at + 1 < bytes.length && bytes[at + 1] !== LF)) return "a chunk does not end";
      if (at + 1 >= bytes.length) return -1;
      this.#place = "chunk size";
      return at + 2;
    }
    let size = 0;
    let cursor = at;
    for (let digit; (digit = hexDigit(bytes[cursor])) >= 0; cursor++) size = size * 16 + digit;
    if (cursor - at > SIZE_DIGITS_MAX) return "the size of a chunk is too large";
    if (cursor === at && cursor < bytes.length) return "the size of a chunk is not understood";
    const extension = cursor;
    if (bytes[cursor] === SEMICOLON) while (isVisible(bytes[cursor])) cursor++;
    if (cursor - at > limits.http.chunkLineBytesMax) return "the size of a chunk is not understood";
    if (cursor >= bytes.length) return -1;
    if (bytes[cursor] !== CR) return "the size of a chunk is not understood";
    if (cursor + 1 >= bytes.length) return -1;
    const sound = cursor === extension || EXTENSION.test(bytes.toString("latin1", extension, cursor));
    if (bytes[cursor + 1] !== LF || !sound) return "the size of a chunk is not understood";
    this.#missing = size;
    this.#place = size > 0 ? "chunk" : "trailer";
    return cursor + 2;
  }

  /** The fields after the last chunk are read, and not believed. */
  #trailer(bytes: Buffer, at: number): number | string {
    if (bytes[at] === CR && bytes[at + 1] === LF) {
      this.#place = "over";
      return at + 2;
    }
    const end = headEnd(bytes, headBytesMax, at);
    if (end < 0) return bytes.length - at > headBytesMax ? "its trailers are too long" : -1;
    if (!readFields(bytes.toString("latin1", at, end + 2), 0, limits.http.fieldsMax))
      return "its trailers are not understood";
    this.#place = "over";
    return end + HEAD_END.length;
  }

  #end(): void {
    this.#place = "over";
    this.#events.end();
  }
}

/** RFC 9112 §6.3: how long the body is, Infinity until the connection closes; or what is wrong. */
function lengthIn(fields: Fields, old: boolean): number | string {
  const coding = fields["transfer-encoding"];
  const said = fields["content-length"];
  if (coding !== undefined && (said !== undefined || old)) return "it says its length in two ways";
  // A coding that nobody has asked for could hide what is in it.
  const chunked = typeof coding === "string" && coding.toLowerCase() === "chunked";
  if (coding !== undefined && !chunked) return "it is in a coding of the transfer that was not asked for";
  const length = said === undefined ? undefined : typeof said === "string" ? lengthOf(said) : undefined;
  if (said !== undefined && length === undefined) return "its length is not understood";
  return chunked ? "chunked" : (length ?? Infinity);
}

/** The head that `text` is, each line with its end, or what is wrong with it. */
function readHead(text: string, known: KnownAnswer | undefined): AnswerHead | string {
  const lineEnd = text.indexOf("\r\n");
  if (!text.startsWith(USUAL) && !STATUS_LINE.test(text.slice(0, lineEnd))) return "its first line is not understood";
  const old = text.charCodeAt(MINOR_AT) === ZERO;
  const status = statusAt(text, STATUS_AT);
  // What comes before the answer has other lines.
  const lines = known && status >= 200 ? (known.lines ??= new KnownLines()) : undefined;
  const { fieldsMax } = limits.http;
  const fields = lines ? lines.read(text, lineEnd + 2, fieldsMax) : readFields(text, lineEnd + 2, fieldsMax);
  if (!fields) return "its head is not understood";
  // What comes before the answer has no body.
  const length = status < 200 ? 0 : lengthIn(fields, old);
  if (typeof length === "string" && length !== "chunked") return length;
  const connection = fields["connection"];
  const stays = connection === undefined || connection === "keep-alive";
  const keeps = !old && (stays || !/\bclose\b|\bupgrade\b/i.test(String(connection)));
  const kept = fields["keep-alive"];
  const seconds = kept === undefined ? undefined : /\btimeout=([0-9]{1,6})\b/.exec(String(kept))?.[1];
  return { text, status, fields, keeps, keptMs: seconds === undefined ? undefined : Number(seconds) * 1_000, length };
}

/** Of three digits. */
const statusAt = (text: string, at: number): number =>
  text.charCodeAt(at) * 100 + text.charCodeAt(at + 1) * 10 + text.charCodeAt(at + 2) - ZERO * 111;

const SEMICOLON = 0x3b;
/** RFC 9112 §7.1.1: says nothing to anybody. */
const EXTENSION = /^;[A-Za-z0-9_-]+(?:=[A-Za-z0-9_-]+)?$/;
const isVisible = (byte: number | undefined): boolean =>
  byte !== undefined && (byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const small = byte | 0x20;
  return small >= 0x61 && small <= 0x66 ? small - 0x57 : -1;
}
