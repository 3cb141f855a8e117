import type { Clock } from "../../lib/clock.ts";

/** What ends by itself when its time is up. */
export interface Mortal {
  expire(): void;
}

/** No longer than this the sleep goes on when nothing is due any more. */
const SLEEP_MS_MAX = 1_000;

/**
 * Many deadlines with one sleep: a timer for each call costs more than to look through those under way now and then. To
 * set one later, or to clear it, touches no timer.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #dueMs = new Map<Mortal, number>();
  #sleeping: AbortController | undefined;
  #wakesAtMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(mortal: Mortal, afterMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    this.#dueMs.set(mortal, nowMs + afterMs);
    if (nowMs + Math.min(afterMs, SLEEP_MS_MAX) < this.#wakesAtMs) this.#sleepUntil(nowMs + afterMs, nowMs);
  }

  clear(mortal: Mortal): void {
    this.#dueMs.delete(mortal);
  }

  /** Nothing is due any more. */
  close(): void {
    this.#dueMs.clear();
    this.#sleeping?.abort("nothing is due");
    this.#sleeping = undefined;
    this.#wakesAtMs = Infinity;
  }

  #sleepUntil(dueMs: number, nowMs: number): void {
    // With a reason of its own: the standard one is an exception with a stack.
    this.#sleeping?.abort("another is due before");
    const sleeping = new AbortController();
    const forMs = Math.min(dueMs - nowMs, SLEEP_MS_MAX);
    this.#sleeping = sleeping;
    this.#wakesAtMs = nowMs + forMs;
    this.#clock.sleep(forMs, sleeping.signal).then(
      () => this.#sleeping === sleeping && this.#wake(),
      () => {},
    );
  }

  #wake(): void {
    this.#sleeping = undefined;
    this.#wakesAtMs = Infinity;
    const nowMs = this.#clock.monotonicMs();
    for (const [mortal, atMs] of this.#dueMs) {
      if (atMs > nowMs) continue;
      this.#dueMs.delete(mortal);
      mortal.expire();
    }
    // Also what `expire` has set meanwhile.
    let nextMs = Infinity;
    for (const atMs of this.#dueMs.values()) nextMs = Math.min(nextMs, atMs);
    if (nextMs < this.#wakesAtMs && nextMs < Infinity) this.#sleepUntil(nextMs, nowMs);
  }
}
