import { Pool } from "undici";
import type { SecureContext } from "node:tls";
import { limits } from "../../../protocol/limits.ts";
import { originOf } from "../../policy/reach.ts";
import { dial, dialTls } from "./dialer.ts";

/** A place and the addresses that were checked for it. */
export interface Upstream {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
}

/**
 * The connections of one sandbox: never another's, as some servers know a client by its connection. A connection is
 * used again only for the addresses for which it was made.
 */
export class Upstreams {
  readonly #trust: SecureContext;
  readonly #pools = new Map<string, Pool>();

  constructor(trust: SecureContext) {
    this.#trust = trust;
  }

  to(upstream: Upstream): Pool {
    const key = JSON.stringify([originOf(upstream), upstream.addresses]);
    let pool = this.#pools.get(key);
    // The oldest goes first; what it still carries goes on.
    this.#pools.delete(key);
    if (!pool) {
      if (this.#pools.size >= limits.web.placesPerSandboxMax) this.#dropOldest();
      pool = this.#open(upstream);
    }
    this.#pools.set(key, pool);
    return pool;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    this.#pools.clear();
  }

  #dropOldest(): void {
    const [key, pool] = this.#pools.entries().next().value ?? [];
    if (key === undefined) return;
    this.#pools.delete(key);
    pool?.close().catch(() => {});
  }

  #open(upstream: Upstream): Pool {
    const { scheme, host } = upstream;
    return new Pool(originOf(upstream), {
      connections: limits.web.connectionsPerPlaceMax,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: limits.web.keepAliveMs,
      keepAliveMaxTimeout: limits.web.keepAliveMs,
      headersTimeout: limits.web.firstByteTimeoutMs,
      bodyTimeout: limits.web.idleTimeoutMs,
      maxHeaderSize: limits.web.answerHeaderBytesMax,
      // Neither a name nor an address of the request comes into this.
      connect: (_options, done) => {
        const dialled = scheme === "https" ? dialTls(upstream, host, this.#trust) : dial(upstream);
        dialled.then(
          (socket) => done(null, socket),
          (error: unknown) => done(error as Error, null),
        );
      },
    });
  }
}
