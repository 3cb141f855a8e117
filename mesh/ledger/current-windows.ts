import type { Clock } from "../../lib/clock.ts";
import type { Queries } from "../store/queries.ts";
import { calendar, rollingSpanMs, type Window, type WindowKind } from "./windows.ts";

/**
 * The windows that reservations count in. They only move forward: a clock that jumps back, in this run
 * or between two, leaves the newest window open, so that no cap is given twice.
 */
export class CurrentWindows {
  readonly #clock: Clock;
  readonly #windowAt: ReturnType<typeof calendar>;
  readonly #onEnd: (kind: WindowKind, startMs: number) => void;
  readonly #open: Record<WindowKind, Window>;
  #latestMs: number;

  constructor(parts: {
    readonly clock: Clock;
    readonly timeZone: string;
    readonly query: Pick<Queries, "ledger">;
    /** Called when a window of `kind` gives way to one that starts at `startMs`. */
    readonly onEnd: (kind: WindowKind, startMs: number) => void;
  }) {
    this.#clock = parts.clock;
    this.#windowAt = calendar(parts.timeZone);
    this.#onEnd = parts.onEnd;
    const { ledger } = parts.query;
    const reopen = (kind: WindowKind): Window => {
      const newest = ledger.newestWindowStartMs(kind);
      const window = this.#windowAt(kind, Math.max(parts.clock.nowMs(), newest ?? -Infinity));
      // In another time zone the open day may have begun before the stored one: it keeps the stored counters.
      return newest !== undefined && newest > window.startMs ? { startMs: newest, endMs: window.endMs } : window;
    };
    this.#open = { day: reopen("day"), month: reopen("month") };
    const buckets = ledger.windows().filter((name) => rollingSpanMs(name) !== undefined);
    this.#latestMs = Math.max(parts.clock.nowMs(), ...buckets.map((name) => ledger.newestWindowStartMs(name) ?? 0));
  }

  /** Both windows at this moment. */
  now(): Readonly<Record<WindowKind, Window>> {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#open.day.endMs) this.#open.day = this.#next("day", nowMs);
    if (nowMs >= this.#open.month.endMs) this.#open.month = this.#next("month", nowMs);
    return this.#open;
  }

  #next(kind: WindowKind, nowMs: number): Window {
    const window = this.#windowAt(kind, nowMs);
    this.#onEnd(kind, window.startMs);
    return window;
  }

  /** The latest moment that the clock has ever shown. */
  latestMs(): number {
    this.#latestMs = Math.max(this.#latestMs, this.#clock.nowMs());
    return this.#latestMs;
  }
}
