import { limits } from "../../protocol/limits.ts";
import { HEAD_END, headBytesMax, headEnd, lengthOf, readFields } from "./fields.ts";
import { KnownLines } from "./known-lines.ts";

/** A request in the plain form in which programs write it. */
export interface RequestHead {
  readonly method: "GET" | "POST";
  /** Origin-form (RFC 9112 §3.2.1). */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes of the body. */
  readonly length: number;
  /** The connection may carry another request. */
  readonly keeps: boolean;
  /** Bytes of the head. */
  readonly bytes: number;
}

/** What changes how a request is framed, or what its connection is for. */
const SPECIAL = ["transfer-encoding", "upgrade", "expect", "proxy-connection", "trailer", "te", "http2-settings"];
const VERSION = " HTTP/1.1\r\n";
/** Longer heads are not what programs write by themselves. */
const PLAIN_BYTES_MAX = headBytesMax / 2;

/**
 * The head that `bytes` begin with, if it is whole and has one reading only: GET or POST of a path, every field once, no
 * coding of the transfer, no other protocol. Undefined for everything else, which is not to say that it is wrong: it is
 * for a reader that knows all of HTTP. What is read here that reader reads in the same way (differential test).
 */
export function readRequestHead(bytes: Buffer, known?: Known): RequestHead | undefined {
  const again = known?.again?.(bytes);
  if (again) return again;
  const end = headEnd(bytes, PLAIN_BYTES_MAX);
  if (end < 0) return undefined;
  const text = bytes.toString("latin1", 0, end + 2);
  const method = text.startsWith("POST /") ? "POST" : text.startsWith("GET /") ? "GET" : undefined;
  if (!method) return undefined;
  const from = method.length + 1;
  const to = text.indexOf(VERSION, from);
  const target = text.slice(from, to);
  if (to < 0 || !TARGET.test(target)) return undefined;
  const lines = text.slice(to + VERSION.length);
  const block = known?.read ? known.read(lines) : readBlock(lines);
  if (!block) return undefined;
  const { headers, length, keeps } = block;
  const head: RequestHead = { method, target, headers, length, keeps, bytes: end + HEAD_END.length };
  known?.was?.(text, head);
  return head;
}

/** What is known of the request before on one connection. */
interface Known {
  /** What the head says that `bytes` begin with, if it is one that is known. */
  again?(bytes: Buffer): RequestHead | undefined;
  was?(text: string, said: RequestHead): void;
  read?(lines: string): Block | undefined;
}

const BEGINNINGS = ["GET /", "POST /"];

/** Whether `bytes`, which `readRequestHead` could not read, may only want the rest of their head. */
export function beginsRequestHead(bytes: Buffer): boolean {
  if (bytes.length > PLAIN_BYTES_MAX || headEnd(bytes, PLAIN_BYTES_MAX) >= 0) return false;
  const start = bytes.toString("latin1", 0, 6);
  return BEGINNINGS.some((beginning) => start.startsWith(beginning) || beginning.startsWith(start));
}

/** All that the lines after the first one say. */
type Block = Pick<RequestHead, "headers" | "length" | "keeps">;

function readBlock(lines: string, known?: KnownLines): Block | undefined {
  const most = limits.door.headerCountMax;
  const fields = known ? known.read(lines, 0, most) : readFields(lines, 0, most);
  if (!fields || SPECIAL.some((name) => fields[name] !== undefined)) return undefined;
  for (const name in fields) if (typeof fields[name] !== "string") return undefined;
  const headers = fields as Readonly<Record<string, string>>;
  const length = lengthOf(headers["content-length"] ?? "0");
  const connection = headers["connection"]?.toLowerCase() ?? "keep-alive";
  if (length === undefined || (connection !== "keep-alive" && connection !== "close")) return undefined;
  return { headers, length, keeps: connection === "keep-alive" };
}

/**
 * The fields of the request before on one connection: programs say them again in the same words, and what was read of
 * them then is what they mean now. The same text gives the same `headers`, not only equal ones.
 */
export class KnownFields implements Known {
  readonly #known = new KnownLines();
  #lines: string | undefined;
  #block: Block | undefined;

  read(lines: string): Block | undefined {
    if (lines === this.#lines) return this.#block;
    this.#block = readBlock(lines, this.#known);
    this.#lines = lines;
    return this.#block;
  }
}

/**
 * The whole head of the request before, but for the length of its body: most programs change nothing else. Its `headers` are
 * those of the one before, so what they say of the length is not to be read; that is in `length`.
 */
export class KnownHead implements Known {
  readonly #lines = new KnownLines();
  #said: RequestHead | undefined;
  /** What stands before and after the digits of the length. */
  #before = NOTHING;
  #after = NOTHING;

  again(bytes: Buffer): RequestHead | undefined {
    const said = this.#said;
    if (!said || !isAt(bytes, 0, this.#before)) return undefined;
    const from = this.#before.length;
    const to = digitsEnd(bytes, from);
    if (!isAt(bytes, to, this.#after)) return undefined;
    const length = lengthOf(bytes.toString("latin1", from, to));
    const ofHead = to + this.#after.length;
    if (length === undefined || ofHead > PLAIN_BYTES_MAX + HEAD_END.length) return undefined;
    const { method, target, headers, keeps } = said;
    return { method, target, headers, length, keeps, bytes: ofHead };
  }

  read(lines: string): Block | undefined {
    return readBlock(lines, this.#lines);
  }

  was(text: string, said: RequestHead): void {
    const found = LENGTH.exec(text);
    this.#said = found ? said : undefined;
    if (!found) return;
    const to = found.index + found[0].length;
    this.#before = Buffer.from(text.slice(0, to - (found[1] ?? "").length), "latin1");
    this.#after = Buffer.from(`${text.slice(to)}\r\n`, "latin1");
  }
}

const NOTHING = Buffer.alloc(0);
const isAt = (bytes: Buffer, at: number, wanted: Buffer): boolean =>
  bytes.length >= at + wanted.length && bytes.compare(wanted, 0, wanted.length, at, at + wanted.length) === 0;

function digitsEnd(bytes: Buffer, from: number): number {
  let at = from;
  for (let byte; (byte = bytes[at]) !== undefined && byte >= 0x30 && byte <= 0x39;) at++;
  return at;
}

const LENGTH = /\r\ncontent-length:[\t ]*([0-9]+)(?=[\t ]*\r\n)/i;
const TARGET = /^\/[A-Za-z0-9\-._~:/?@!$&'()*+,;=%|]*$/;
