import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import { AddressBuckets } from "./address-buckets.ts";

/** What the mesh says of a delivery: a status, and a word for the sender. */
export interface Verdict {
  readonly status: 202 | 400 | 401 | 413 | 422 | 429 | 503;
  readonly word: string;
}

/** Hands a delivery to the mesh, which alone can tell whether it is genuine. */
export type Forward = (
  hook: string,
  delivery: { readonly headers: Readonly<Record<string, string>>; readonly body: Buffer },
) => Promise<Verdict>;

/**
 * `POST /hooks/{name}` for the outside: bounds what it reads, and passes it on as it is. It holds no secret and believes
 * nothing; whoever takes it over can do no more than anybody who can reach it.
 */
export class WebhookListener {
  readonly #server: Server;
  readonly #forward: Forward;
  readonly #addresses: AddressBuckets;
  #concurrent = 0;

  constructor(forward: Forward, clock: Clock) {
    this.#forward = forward;
    this.#addresses = new AddressBuckets(clock);
    this.#server = createServer(
      {
        maxHeaderSize: limits.door.headerBytesMax,
        headersTimeout: limits.hook.requestTimeoutMs,
        requestTimeout: limits.hook.requestTimeoutMs,
        keepAliveTimeout: limits.hook.requestTimeoutMs,
        connectionsCheckingInterval: 1_000,
        insecureHTTPParser: false,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxHeadersCount = limits.door.headerCountMax;
    this.#server.maxConnections = limits.hook.connectionsMax;
    this.#server.on("clientError", (_error, socket) => socket.destroy());
    // Node's server has let go of it: nobody else hears of its errors.
    const leave = (_request: IncomingMessage, socket: Duplex): void =>
      void socket.on("error", () => undefined).destroy();
    this.#server.on("connect", leave).on("upgrade", leave);
  }

  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#server.once("error", reject);
    this.#server.listen({ host, port, exclusive: true }, () => resolve((this.#server.address() as AddressInfo).port));
    return promise;
  }

  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    return promise;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => response.destroy());
    const { status, word } = await this.#judge(request).catch(() => UNAVAILABLE);
    if (response.destroyed) return;
    const text = JSON.stringify({ status: word });
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      // What was not read to its end must not be taken for the next request.
      ...(status === 202 ? {} : { connection: "close" }),
    });
    response.end(text);
  }

  async #judge(request: IncomingMessage): Promise<Verdict> {
    const hook = /^\/hooks\/([a-z][a-z0-9-]{0,39})$/.exec(request.url ?? "")?.[1];
    if (hook === undefined || request.method !== "POST") return { status: 400, word: "post to /hooks/NAME" };
    if (!this.#addresses.take(request.socket.remoteAddress ?? "")) return { status: 429, word: "too many requests" };
    if (this.#concurrent >= limits.hook.requestsConcurrentMax) return UNAVAILABLE;
    this.#concurrent++;
    try {
      const headers = headersOf(request);
      const body = headers && (await bodyOf(request));
      if (!headers || !body) return { status: 413, word: "too large" };
      return await this.#forward(hook, { headers, body });
    } finally {
      this.#concurrent--;
    }
  }
}

const UNAVAILABLE: Verdict = { status: 503, word: "try again later" };

/** Those that a signature can stand in; a header that came twice is two claims, and none is chosen. */
function headersOf(request: IncomingMessage): Record<string, string> | undefined {
  const headers: Record<string, string> = {};
  const seen = new Set<string>();
  for (const [at, name] of request.rawHeaders.entries()) {
    if (at % 2 === 1) continue;
    const key = name.toLowerCase();
    const value = request.rawHeaders[at + 1] ?? "";
    if (Buffer.byteLength(value) > limits.hook.headerBytesMax) return undefined;
    if (seen.has(key)) delete headers[key];
    else if (/^[a-z][a-z0-9-]{0,63}$/.test(key)) headers[key] = value;
    seen.add(key);
  }
  return headers;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > limits.hook.bodyBytesMax) return undefined;
  if ((request.headers["content-encoding"] ?? "identity") !== "identity") return undefined;
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > limits.hook.bodyBytesMax) return undefined;
    pieces.push(piece);
  }
  // A body that is shorter than it said never comes here: the parser ends the connection.
  return Buffer.concat(pieces, size);
}
