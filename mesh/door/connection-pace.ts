import type { Server } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { TokenBucket } from "../http/bucket.ts";

/** While the listener turns everybody away; then it has earned some connections again. */
const PAUSE_MS = 125;

interface Bounds {
  readonly atOnce: number;
  readonly burst: number;
  readonly perSecond: number;
}

const ofDoor: Bounds = {
  atOnce: limits.door.connectionsMax,
  burst: limits.sandbox.doorConnectionsBurst,
  perSecond: limits.sandbox.doorConnectionsPerSecond,
};

/**
 * How fast one sandbox may open connections: more at once, and more a second, than it may ask requests. To be let in, and to end,
 * costs a multiple of being turned away at the listener, before anything is made or read; and it is the time of every door.
 */
export class ConnectionPace {
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #atOnce: number;
  readonly #bucket: TokenBucket;
  readonly #ending = new AbortController();

  /** Sets `maxConnections` of `server`, which emits `drop` for whoever is turned away. */
  constructor(server: Server, clock: Clock, { atOnce, burst, perSecond }: Bounds = ofDoor) {
    this.#server = server;
    this.#clock = clock;
    this.#atOnce = atOnce;
    this.#bucket = new TokenBucket(clock, burst, perSecond);
    server.maxConnections = atOnce;
    server.on("connection", () => this.#bucket.take() || this.#pause());
  }

  close(): void {
    this.#ending.abort();
  }

  #pause(): void {
    this.#server.maxConnections = 0;
    const again = (): void => void (this.#server.maxConnections = this.#atOnce);
    this.#clock.sleep(PAUSE_MS, this.#ending.signal).then(again, () => undefined);
  }
}
