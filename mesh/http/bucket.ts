import type { Clock } from "../../lib/clock.ts";

/** Token bucket: `burst` at once, then `perSecond`. What was done is charged for afterwards, up to a debt of `burst`. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.#clock = clock;
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
    this.#atMs = clock.monotonicMs();
  }

  take(): boolean {
    this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  charge(tokens: number): void {
    this.#refill();
    this.#tokens = Math.max(-this.#burst, this.#tokens - tokens);
  }

  get inDebt(): boolean {
    this.#refill();
    return this.#tokens < 0;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) * this.#perSecond) / 1000);
    this.#atMs = nowMs;
  }
}
