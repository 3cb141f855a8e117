import type { Id } from "../../lib/id.ts";

/** Waiting times that double up to a bound, each between half and the whole of its value. */
export interface BackOff {
  /** Milliseconds to wait before the next attempt. */
  next(): number;
  reset(): void;
}

/** Jitter keeps a fleet whose mesh has restarted from knocking at one moment. */
export function createBackOff(id: Id, { minMs, maxMs }: { readonly minMs: number; readonly maxMs: number }): BackOff {
  let whole = minMs;
  return {
    next() {
      const wait = whole * (0.5 + fraction(id) / 2);
      whole = Math.min(maxMs, whole * 2);
      return Math.round(wait);
    },
    reset() {
      whole = minMs;
    },
  };
}

/** The source of ids is the zone's source of randomness; its last characters as a number in [0, 1). */
function fraction(id: Id): number {
  const value = Number.parseInt(id.next("j").slice(-6), 36);
  return Number.isNaN(value) ? 0 : value / 36 ** 6;
}
