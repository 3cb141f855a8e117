import type { Clock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";

interface Bucket {
  tokens: number;
  atMs: number;
}

/** One token bucket an address; what is forgotten first is the address that was seen longest ago. */
export class AddressBuckets {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(address: string): boolean {
    const { requestsBurst, requestsPerSecond, addressesMax } = limits.hook;
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(address) ?? { tokens: requestsBurst, atMs: nowMs };
    bucket.tokens = Math.min(requestsBurst, bucket.tokens + ((nowMs - bucket.atMs) * requestsPerSecond) / 1000);
    bucket.atMs = nowMs;
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > addressesMax && oldest !== undefined) this.#buckets.delete(oldest);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
