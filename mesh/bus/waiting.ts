import type { Clock } from "../../lib/clock.ts";

/** Those who wait for something to happen to a name: a lane, a topic, a request. */
export class Waiting {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is waited for at this moment. */
  names(): Iterable<string> {
    return this.#waiting.keys();
  }

  wake(name: string): void {
    for (const wake of this.#waiting.get(name) ?? []) wake();
  }

  /** Looks at once and at each wake, until it finds something, `waitMs` is over or nobody listens any more. */
  async until<T>(name: string, waitMs: number, signal: AbortSignal, look: () => T | undefined): Promise<T | undefined> {
    const deadlineMs = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      const found = look();
      const leftMs = deadlineMs - this.#clock.monotonicMs();
      if (found !== undefined || leftMs <= 0 || signal.aborted) return found;
      await this.#wait(name, leftMs, signal);
    }
  }

  #wait(name: string, waitMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(name) ?? new Set();
    this.#waiting.set(name, waiting.add(resolve));
    const stop = new AbortController();
    this.#clock.sleep(waitMs, AbortSignal.any([signal, stop.signal])).then(resolve, () => resolve());
    return promise.finally(() => {
      stop.abort();
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(name);
    });
  }
}
