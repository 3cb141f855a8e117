import type { Clock } from "../../lib/clock.ts";

/** What ends by itself when its time is up. */
export interface Mortal {
  /** Of `Deadlines`, and nobody else's: a mortal has one at a time. */
  due?: Due | undefined;
  expire(): void;
}

/** When a mortal ends; `at`: where it stands among all that are due, or -1. */
interface Due {
  readonly mortal: Mortal;
  atMs: number;
  at: number;
}

/** No longer than this the sleep goes on when nothing is due any more. */
const SLEEP_MS_MAX = 1_000;

/**
 * Many deadlines with one sleep: a timer for each call costs more than to look through those under way now and then. To
 * set one later, or to clear it, touches no timer, and looks for nothing.
 */
export class Deadlines {
  readonly #clock: Clock;
  #all: Due[] = [];
  #sleeping: AbortController | undefined;
  #wakesAtMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(mortal: Mortal, afterMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const due = (mortal.due ??= { mortal, atMs: 0, at: -1 });
    due.atMs = nowMs + afterMs;
    if (due.at < 0) due.at = this.#all.push(due) - 1;
    if (nowMs + Math.min(afterMs, SLEEP_MS_MAX) < this.#wakesAtMs) this.#sleepUntil(nowMs + afterMs, nowMs);
  }

  clear(mortal: Mortal): void {
    if (mortal.due && mortal.due.at >= 0) this.#remove(mortal.due);
  }

  /** Nothing is due any more. */
  close(): void {
    for (const due of this.#all) due.at = -1;
    this.#all = [];
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
    for (const due of this.#all.filter(({ atMs }) => atMs <= nowMs)) {
      // Another that has ended may have cleared it, or set it anew.
      if (due.at < 0 || due.atMs > nowMs) continue;
      this.#remove(due);
      due.mortal.expire();
    }
    // Also what `expire` has set meanwhile.
    let nextMs = Infinity;
    for (const { atMs } of this.#all) nextMs = Math.min(nextMs, atMs);
    if (nextMs < this.#wakesAtMs && nextMs < Infinity) this.#sleepUntil(nextMs, nowMs);
  }

  /** The last one takes its place. */
  #remove(due: Due): void {
    const last = this.#all.pop();
    if (last && last !== due) {
      this.#all[due.at] = last;
      last.at = due.at;
    }
    due.at = -1;
  }
}
