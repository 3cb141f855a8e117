import { hash } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { formatUsd } from "../../lib/units.ts";
import { limits } from "../../protocol/limits.ts";

/** When an agent is taken for one that runs away. */
export interface RunawayLimits {
  /** The same call so often within `identicalMs`. */
  readonly identicalCalls: number;
  readonly identicalMs: number;
  /** Micro-USD within `spendMs`; null = no bound but its budgets. */
  readonly spendMicroUsd: number | null;
  readonly spendMs: number;
}

export interface RunawayCause {
  readonly kind: "identical_calls" | "spend";
  readonly reason: string;
  readonly within_ms: number;
  /** Calls, or micro-USD. */
  readonly seen: number;
}

interface Seen {
  /** When each of the newest calls with one body was made, by the hash of the body. */
  readonly calls: Map<string, number[]>;
  spent: { readonly slot: number; microUsd: number }[];
}

/**
 * A circuit for loops: an agent that makes the same call over and over, or spends its day within minutes, is halted
 * until a person starts it again. It is for agents that are broken; one that wants to deceive it varies its calls, and
 * meets its budgets. Calls that were refused do not count.
 */
export class Runaway {
  readonly #clock: Clock;
  readonly #limitsOf: (agent: string) => RunawayLimits | undefined;
  readonly #seen = new Map<string, Seen>();

  /** `limitsOf` of an agent that is not watched is undefined. */
  constructor(clock: Clock, limitsOf: (agent: string) => RunawayLimits | undefined) {
    this.#clock = clock;
    this.#limitsOf = limitsOf;
  }

  /**
   * Counts a call before it is made: the cause to halt its agent, or a way to take the count back. `body` is the call
   * as it was understood, written anew: white space does not tell calls apart.
   */
  call(agent: string, body: () => string): RunawayCause | (() => void) {
    const bounds = this.#limitsOf(agent);
    if (!bounds) return () => {};
    const { calls } = this.#of(agent);
    const nowMs = this.#clock.monotonicMs();
    const key = hash("sha256", body(), "base64");
    const times = calls.get(key) ?? [];
    // In place: a call that is under way may still be taken back.
    times.splice(0, times.findLastIndex((atMs) => nowMs - atMs >= bounds.identicalMs) + 1);
    // The newest last: what is forgotten is what was not asked for longest.
    calls.delete(key);
    calls.set(key, times);
    if (calls.size > limits.runaway.bodiesKnownMax) for (const oldest of calls.keys()) if (calls.delete(oldest)) break;
    if (times.length >= bounds.identicalCalls) {
      const reason = `it made the same model call ${times.length + 1} times within ${seconds(bounds.identicalMs)}`;
      return { kind: "identical_calls", reason, within_ms: bounds.identicalMs, seen: times.length + 1 };
    }
    times.push(nowMs);
    return () => {
      const at = times.lastIndexOf(nowMs);
      if (at >= 0) times.splice(at, 1);
    };
  }

  /** Counts what a call has cost; the cause to halt its agent. */
  spent(agent: string, microUsd: number): RunawayCause | undefined {
    const bounds = this.#limitsOf(agent);
    if (!bounds || bounds.spendMicroUsd === null || microUsd <= 0) return undefined;
    const seen = this.#of(agent);
    const slot = Math.floor((this.#clock.monotonicMs() * SLOTS) / bounds.spendMs);
    seen.spent = seen.spent.filter((each) => each.slot > slot - SLOTS);
    const last = seen.spent.at(-1);
    if (last?.slot === slot) last.microUsd += microUsd;
    else seen.spent.push({ slot, microUsd });
    const sum = seen.spent.reduce((total, each) => total + each.microUsd, 0);
    if (sum <= bounds.spendMicroUsd) return undefined;
    const reason = `it spent ${formatUsd(sum)} within ${seconds(bounds.spendMs)}, and ${formatUsd(bounds.spendMicroUsd)} is its bound`;
    return { kind: "spend", reason, within_ms: bounds.spendMs, seen: sum };
  }

  /** A halted agent begins anew. */
  forget(agent: string): void {
    this.#seen.delete(agent);
  }

  #of(agent: string): Seen {
    const seen = this.#seen.get(agent) ?? { calls: new Map<string, number[]>(), spent: [] };
    this.#seen.set(agent, seen);
    return seen;
  }
}

/** Parts of the time in which spending is summed up. */
const SLOTS = 60;
const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;
