import type { Clock } from "../../lib/clock.ts";

/** Of one turn of the loop, for what may wait. More of it would make all others wait for so long. */
const TURN_MS = 1;

/**
 * A fair share of the event loop: what may be much work for many at once is done as long as a turn has time for it, and
 * the rest in the turns that follow, in the same order. Between two turns everybody else has theirs.
 */
export class Turns {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];
  #beganMs = -Infinity;
  /** What ends the turn. */
  #ending: NodeJS.Immediate | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether work can be done now. Where it cannot, `later` has it done. */
  get open(): boolean {
    if (this.#waiting.length > 0) return false;
    if (!this.#ending) {
      // What a socket brings is followed by the end of the turn by itself; that nobody waits for keeps no loop awake.
      this.#begin().unref();
      return true;
    }
    return this.#clock.monotonicMs() - this.#beganMs < TURN_MS;
  }

  later(work: () => void): void {
    this.#waiting.push(work);
    this.#ending ??= this.#begin();
    this.#ending.ref();
  }

  #begin(): NodeJS.Immediate {
    this.#beganMs = this.#clock.monotonicMs();
    this.#ending = setImmediate(this.#next);
    return this.#ending;
  }

  readonly #next = (): void => {
    this.#ending = undefined;
    if (this.#waiting.length === 0) return;
    this.#begin();
    let done = 0;
    do this.#waiting[done++]?.();
    while (done < this.#waiting.length && this.#clock.monotonicMs() - this.#beganMs < TURN_MS);
    this.#waiting = this.#waiting.slice(done);
  };
}
