import type { Server } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { TokenBucket } from "../http/bucket.ts";

/** While the listener turns everybody away; then it has earned some connections again. */
const PAUSE_MS = 125;

/**
 * How fast one sandbox may open connections: more at once, and more a second, than it may ask requests. To be let in, and to end,
 * costs a multiple of being turned away at the listener, before anything is made or read; and it is the time of every door.
 */
export class ConnectionPace {
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #bucket: TokenBucket;
  readonly #ending = new AbortController();

  /** Sets `maxConnections` of `server`, which emits `drop` for whoever is turned away. */
  constructor(server: Server, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
    this.#bucket = new TokenBucket(clock, limits.sandbox.doorConnectionsBurst, limits.sandbox.doorConnectionsPerSecond);
    server.maxConnections = limits.door.connectionsMax;
    server.on("connection", () => this.#bucket.take() || this.#pause());
  }

  close(): void {
    this.#ending.abort();
  }

  #pause(): void {
    this.#server.maxConnections = 0;
    const again = (): void => void (this.#server.maxConnections = limits.door.connectionsMax);
    this.#clock.sleep(PAUSE_MS, this.#ending.signal).then(again, () => undefined);
  }
}
