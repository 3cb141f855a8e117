import { createHash } from "node:crypto";
import { limits } from "../../protocol/limits.ts";
import type { CronPattern } from "./cron.ts";
import type { Effect } from "./effect.ts";
import type { Zone } from "./zone.ts";

/** What a tick asks before anything is spent: each is one look, and all but `url` at what the mesh knows already. */
export type Probe =
  | { readonly kind: "inbox"; readonly agent: string }
  | { readonly kind: "board"; readonly match: string }
  | { readonly kind: "topic"; readonly topic: string }
  | { readonly kind: "disk"; readonly freeBytesBelow: number }
  /** What the address answers has changed. */
  | { readonly kind: "url"; readonly url: string };

export type Timing =
  | { readonly kind: "cron"; readonly pattern: CronPattern; readonly zone: Zone }
  | { readonly kind: "every"; readonly ms: number }
  | { readonly kind: "at"; readonly atMs: number };

/** One entry of `schedule:`. */
export interface Job {
  readonly name: string;
  readonly timing: Timing;
  readonly effect: Effect;
  readonly missed: "skip" | "once" | "all";
  readonly overlap: "skip" | "allow";
  readonly jitterMs: number;
  readonly probe: Probe | null;
}

/** The first tick after `afterMs`; undefined when there is none any more. */
export function nextTick({ timing }: Job, afterMs: number): number | undefined {
  switch (timing.kind) {
    case "cron":
      return timing.pattern.next(afterMs, timing.zone);
    case "every":
      return (Math.floor(afterMs / timing.ms) + 1) * timing.ms;
    case "at":
      return timing.atMs > afterMs ? timing.atMs : undefined;
  }
}

/** When a tick is due: the same delay at every start, so that a restart neither repeats nor loses it. */
export function dueMs({ name, jitterMs }: Job, tickMs: number): number {
  if (jitterMs === 0) return tickMs;
  const draw = createHash("sha256").update(`${name}\n${tickMs}`).digest().readUInt32BE();
  return tickMs + (draw % jitterMs);
}

/** Ticks after `fromMs` that are due, oldest first, until one is not or there are `max`. */
function walk(job: Job, fromMs: number, nowMs: number, max: number): number[] {
  const ticks: number[] = [];
  for (
    let tick = nextTick(job, fromMs);
    tick !== undefined && dueMs(job, tick) <= nowMs && ticks.length < max;
    tick = nextTick(job, tick)
  )
    ticks.push(tick);
  return ticks;
}

/**
 * Ticks after `lastMs` that are due, oldest first: all of them, or the newest `ticksCaughtUpMax`. Where there are more,
 * it looks back from now in growing steps, so that a year without the mesh costs no more than a day.
 */
export function dueTicks(job: Job, lastMs: number, nowMs: number): number[] {
  const { ticksCaughtUpMax } = limits.schedule;
  const few = walk(job, lastMs, nowMs, ticksCaughtUpMax + 1);
  if (few.length <= ticksCaughtUpMax) return few;
  for (let back = limits.schedule.intervalMsMin; ; back *= 4) {
    const from = Math.max(lastMs, nowMs - back);
    const ticks = walk(job, from, nowMs, Infinity);
    if (from === lastMs || ticks.length >= ticksCaughtUpMax) return ticks.slice(-ticksCaughtUpMax);
  }
}
