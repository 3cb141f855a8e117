import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../lib/clock.ts";

/** Of one turn of the loop, for one reader. */
const TURN_MS = 2;

/**
 * What readers choose to look for, and what may pass over much of the board. One reader has one look at a time, and of that a part
 * in each turn of the loop: however many looks it asks for at once, everybody else has their turns.
 */
export class Looks {
  readonly #clock: Clock;
  /** The latest look of each reader that has one. */
  readonly #latest = new Map<string, Promise<void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does one `part` after the other until one is the last; undefined: nobody waits for it any more. */
  async of<T>(reader: string, part: () => T | undefined, signal?: AbortSignal): Promise<T | undefined> {
    const before = this.#latest.get(reader);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#latest.set(reader, promise);
    try {
      if (before) await before;
      for (let turns = before ? 1 : 0; ; turns++) {
        if (turns > 0 && signal?.aborted === true) return undefined;
        const beganMs = this.#clock.monotonicMs();
        do {
          const found = part();
          if (found !== undefined) return found;
        } while (this.#clock.monotonicMs() - beganMs < TURN_MS);
        await setImmediate();
      }
    } finally {
      // The next one has a turn of its own.
      void setImmediate().then(() => {
        if (this.#latest.get(reader) === promise) this.#latest.delete(reader);
        resolve();
      });
    }
  }
}
