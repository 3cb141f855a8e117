import type { Clock } from "../../lib/clock.ts";

/** What ends by itself when its time is up. */
export interface Mortal {
  expire(): void;
}

/** Many deadlines with one sleep: a timer for each call costs more than to look through those under way now and then. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #dueMs = new Map<Mortal, number>();
  #sleeping: AbortController | undefined;
  #wakesAtMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(mortal: Mortal, afterMs: number): void {
    const atMs = this.#clock.monotonicMs() + afterMs;
    this.#dueMs.set(mortal, atMs);
    if (atMs < this.#wakesAtMs) this.#sleepUntil(atMs, afterMs);
  }

  clear(mortal: Mortal): void {
    this.#dueMs.delete(mortal);
    // Nothing is to keep the process awake.
    if (this.#dueMs.size === 0) this.#rest();
  }

  #sleepUntil(atMs: number, afterMs: number): void {
    this.#rest();
    const sleeping = new AbortController();
    this.#sleeping = sleeping;
    this.#wakesAtMs = atMs;
    this.#clock.sleep(afterMs, sleeping.signal).then(
      () => this.#sleeping === sleeping && this.#wake(),
      () => {},
    );
  }

  #wake(): void {
    this.#sleeping = undefined;
    this.#wakesAtMs = Infinity;
    const nowMs = this.#clock.monotonicMs();
    let nextMs = Infinity;
    for (const [mortal, atMs] of this.#dueMs) {
      if (atMs > nowMs) {
        nextMs = Math.min(nextMs, atMs);
        continue;
      }
      this.#dueMs.delete(mortal);
      mortal.expire();
    }
    // What `expire` has set meanwhile may be due before.
    if (nextMs < this.#wakesAtMs) this.#sleepUntil(nextMs, nextMs - nowMs);
  }

  #rest(): void {
    // With a reason of its own: the standard one is an exception with a stack.
    this.#sleeping?.abort("nothing is due");
    this.#sleeping = undefined;
    this.#wakesAtMs = Infinity;
  }
}
