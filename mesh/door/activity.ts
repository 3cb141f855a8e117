import type { Clock } from "../../lib/clock.ts";

/** When a sandbox last used its door. Waiting for something to do is no use of it. */
export class Activity {
  readonly #clock: Clock;
  #open = 0;
  #lastMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.monotonicMs();
  }

  begin(): void {
    this.#open++;
  }

  /** Once for each beginning. */
  end(): void {
    this.#open--;
    this.#lastMs = this.#clock.monotonicMs();
  }

  /** 0 while something is under way. */
  idleForMs(): number {
    return this.#open > 0 ? 0 : this.#clock.monotonicMs() - this.#lastMs;
  }
}
