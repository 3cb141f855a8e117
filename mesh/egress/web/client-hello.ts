import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";

export interface ClientHello {
  /** The name that the client asks for (RFC 6066 §3), as it stands there; null = none. */
  readonly serverName: string | null;
  /** RFC 7301; empty = none offered. */
  readonly protocols: readonly string[];
}

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
/** Encrypted Client Hello: draft 13 and later, and what came before it. */
const HIDDEN = new Set([0xfe0d, 0xffce]);

/** Whether bytes can begin a TLS connection at all. */
export const looksLikeTls = (first: number): boolean => first === HANDSHAKE;

/**
 * Reads the first message of a TLS connection (RFC 8446 §4.1.2) without trusting any length in it. `"more"`: not all of
 * it is there yet. The error says what is wrong.
 */
export function readClientHello(bytes: Buffer): Result<ClientHello, string> | "more" {
  const fragments: Buffer[] = [];
  let wanted = 4;
  let have = 0;
  for (let at = 0; have < wanted;) {
    if (at > limits.web.clientHelloBytesMax) return err("its first message is too long");
    if (bytes.length < at + 5) return "more";
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3) return err("it does not begin with a TLS handshake");
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > RECORD_BYTES_MAX) return err("a record has no valid length");
    const fragment = bytes.subarray(at + 5, at + 5 + length);
    fragments.push(fragment);
    have += fragment.length;
    const head = Buffer.concat(fragments.slice(0, 4)).subarray(0, 4);
    if (head.length > 0 && head[0] !== CLIENT_HELLO) return err("its first message is no ClientHello");
    if (head.length === 4) wanted = 4 + head.readUIntBE(1, 3);
    if (wanted > limits.web.clientHelloBytesMax) return err("its first message is too long");
    if (fragment.length < length && have < wanted) return "more";
    at += 5 + length;
  }
  try {
    return readBody(new Reader(Buffer.concat(fragments).subarray(4, wanted)));
  } catch (error) {
    if (error instanceof Malformed) return err("its first message is malformed");
    throw error;
  }
}

const RECORD_BYTES_MAX = 16_384;

class Malformed extends Error {}

/** Vectors of TLS: a length, then so many bytes (RFC 8446 §3.4). */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new Malformed();
    return this.#bytes.subarray(this.#at, (this.#at += length));
  }

  number(width: 1 | 2): number {
    return this.take(width).readUIntBE(0, width);
  }

  vector(width: 1 | 2): Reader {
    return new Reader(this.take(this.number(width)));
  }

  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }
}

function readBody(hello: Reader): Result<ClientHello, string> {
  hello.take(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  if (hello.done) return ok({ serverName: null, protocols: [] });
  const extensions = hello.vector(2);
  if (!hello.done) throw new Malformed();
  const seen = new Set<number>();
  let serverName: string | null = null;
  let protocols: readonly string[] = [];
  while (!extensions.done) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    // RFC 8446 §4.2: never twice.
    if (seen.has(type)) throw new Malformed();
    seen.add(type);
    if (HIDDEN.has(type)) return err("it hides its server name (ECH)");
    if (type === SERVER_NAME) serverName = readServerName(body);
    if (type === ALPN) protocols = readProtocols(body);
  }
  return ok({ serverName, protocols });
}

function readServerName(body: Reader): string {
  const list = body.vector(2);
  // One name, of the one type that there is.
  if (!body.done || list.number(1) !== 0) throw new Malformed();
  const name = list.vector(2).rest();
  if (!list.done || name.length === 0 || name.some((byte) => byte < 0x21 || byte > 0x7e)) throw new Malformed();
  return name.toString("latin1");
}

function readProtocols(body: Reader): readonly string[] {
  const list = body.vector(2);
  if (!body.done) throw new Malformed();
  const protocols: string[] = [];
  while (!list.done) protocols.push(list.vector(1).rest().toString("latin1"));
  return protocols;
}
