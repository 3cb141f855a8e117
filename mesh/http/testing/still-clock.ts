import type { Clock } from "../../../lib/clock.ts";

/** A clock that stands still until it is moved. */
export interface StillClock extends Clock {
  /** In steps of half a second, each with a turn of the loop after it. */
  move(ms: number): Promise<void>;
}

export function stillClock(): StillClock {
  let atMs = 0;
  const sleepers = new Set<{ readonly dueMs: number; readonly wake: () => void }>();
  return {
    ...{ nowMs: () => atMs, monotonicMs: () => atMs },
    sleep: (ms) => new Promise<void>((wake) => void sleepers.add({ dueMs: atMs + ms, wake })),
    async move(ms) {
      for (const end = atMs + ms; atMs < end;) {
        atMs = Math.min(end, atMs + 500);
        for (const sleeper of sleepers) if (sleeper.dueMs <= atMs && sleepers.delete(sleeper)) sleeper.wake();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}
