import type { Clock } from "../../lib/clock.ts";

/** Of one turn of the loop, for what may wait. More of it would make all others wait for so long. */
const TURN_MS = 1;

/** Who pays for work that is more than a turn. */
export interface Payer {
  /** Milliseconds of the loop. */
  spent(ms: number): void;
  readonly inDebt: boolean;
}

/**
 * A fair share of the event loop: what may be much work for many at once is done as long as a turn has time for it, and
 * the rest in the turns that follow, in the same order. Between two turns everybody else has theirs.
 */
export class Turns {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];
  #beganMs = -Infinity;
  readonly #payer: Payer | undefined;
  /** What ends the turn. */
  #ending: NodeJS.Immediate | undefined;

  constructor(clock: Clock, payer?: Payer) {
    this.#clock = clock;
    this.#payer = payer;
  }

  /** Whether so much was done that is more than a turn that no more of it is to be begun now. */
  get inDebt(): boolean {
    return this.#payer?.inDebt ?? false;
  }

  /** Work that cannot be interrupted, and may be more than a turn: then it is paid for. */
  timed<T>(work: () => T): T {
    const beganMs = this.#clock.monotonicMs();
    try {
      return work();
    } finally {
      const ms = this.#clock.monotonicMs() - beganMs;
      if (ms > TURN_MS) this.#payer?.spent(ms);
    }
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

  /** A turn of its own, for work that is done once a promise has said so: how long it takes, no other of this turn can see. */
  own(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const take = (): void => {
      this.#beganMs = -Infinity;
      resolve();
    };
    if (this.open) take();
    else this.later(take);
    return promise;
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
    this.#one(this.#waiting, 0);
  };

  /** After each one what it has left for a promise: that is a part of it, and may be the most of it. */
  #one(waiting: readonly (() => void)[], at: number): void {
    waiting[at]?.();
    queueMicrotask(() => {
      const goesOn = at + 1 < waiting.length && this.#clock.monotonicMs() - this.#beganMs < TURN_MS;
      if (goesOn) this.#one(waiting, at + 1);
      else this.#waiting = this.#waiting.slice(at + 1);
    });
  }
}
