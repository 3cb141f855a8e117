import type { SecureContext } from "node:tls";
import { Pool as UpgradingPool } from "undici";
import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Asked, KnownAnswer } from "../../http/answer-reader.ts";
import type { Deadlines } from "../../http/deadlines.ts";
import { originOf } from "../../policy/reach.ts";
import { Pool } from "../http1/pool.ts";
import type { KnownPassed, Passed } from "./answer.ts";
import { dial, dialOf, dialTls, type Upstream } from "./dialer.ts";

/** One place: exchanges have a pool of their own, and what goes on in WebSocket is begun by undici. */
export class Place implements KnownPassed {
  readonly #upstream: Upstream;
  readonly #trust: SecureContext;
  readonly pool: Pool;
  /** How its answers are read. */
  readonly asked: Asked;
  readonly #known: KnownAnswer = {};
  passed?: Passed;
  #upgrading: UpgradingPool | undefined;

  constructor(upstream: Upstream, trust: SecureContext, clock: Clock, deadlines: Deadlines) {
    this.#upstream = upstream;
    this.#trust = trust;
    const place = {
      url: new URL(originOf(upstream)),
      dial: dialOf(upstream, trust),
      keptMsMax: limits.web.keepAliveMs,
    };
    this.asked = { bodiless: false, headBytesMax: limits.web.answerHeaderBytesMax, known: this.#known };
    this.pool = new Pool(place, clock, deadlines, limits.web.connectionsPerPlaceMax);
  }

  forget(): void {
    delete this.passed;
    delete this.#known.head;
  }

  /** A connection that goes on in another protocol is never used again. */
  get upgrading(): UpgradingPool {
    return (this.#upgrading ??= this.#open());
  }

  retire(): void {
    this.pool.retire();
    this.#upgrading?.close().catch(() => {});
  }

  async destroy(): Promise<void> {
    this.pool.destroy();
    await this.#upgrading?.destroy();
  }

  #open(): UpgradingPool {
    const upstream = this.#upstream;
    return new UpgradingPool(originOf(upstream), {
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
        const { scheme, host } = upstream;
        const dialled = scheme === "https" ? dialTls(upstream, host, this.#trust) : dial(upstream);
        dialled.then(
          (socket) => done(null, socket),
          (error: unknown) => done(error as Error, null),
        );
      },
    });
  }
}

const isSame = (a: Upstream, b: Upstream): boolean =>
  a.host === b.host &&
  a.port === b.port &&
  a.scheme === b.scheme &&
  a.addresses.length === b.addresses.length &&
  a.addresses.every((address, at) => address === b.addresses[at]);

/**
 * The connections of one sandbox: never another's, as some servers know a client by its connection. A connection is
 * used again only for the addresses for which it was made.
 */
export class Upstreams {
  readonly #trust: SecureContext;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #places = new Map<string, Place>();
  /** The newest of `#places`: most requests go where the one before went. */
  #newest: { readonly to: Upstream; readonly place: Place } | undefined;

  constructor(trust: SecureContext, clock: Clock, deadlines: Deadlines) {
    this.#trust = trust;
    this.#clock = clock;
    this.#deadlines = deadlines;
  }

  to({ scheme, host, port }: Omit<Upstream, "addresses">, addresses: readonly string[]): Place {
    const upstream = { scheme, host, port, addresses };
    if (this.#newest && isSame(this.#newest.to, upstream)) return this.#newest.place;
    const key = `${scheme} ${host} ${port} ${addresses.join()}`;
    let place = this.#places.get(key);
    // The oldest goes first; what it still carries goes on.
    this.#places.delete(key);
    if (!place) {
      if (this.#places.size >= limits.web.placesPerSandboxMax) this.#dropOldest();
      place = new Place(upstream, this.#trust, this.#clock, this.#deadlines);
    }
    this.#places.set(key, place);
    this.#newest = { to: upstream, place };
    return place;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#places.values()].map((place) => place.destroy()));
    this.#places.clear();
    this.#newest = undefined;
  }

  #dropOldest(): void {
    const [key, place] = this.#places.entries().next().value ?? [];
    if (key === undefined) return;
    this.#places.delete(key);
    place?.retire();
  }
}
