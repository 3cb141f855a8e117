import type { Result } from "../../lib/result.ts";
import type { Write } from "../store/store.ts";

/** Whole tokens and whole micro-USD; never a fraction, never negative. */
export interface Amount {
  readonly tokens: number;
  readonly microUsd: number;
}

export interface Caps {
  readonly day: Partial<Record<"tokens" | "usd", number>>;
  readonly month: Partial<Record<"tokens" | "usd", number>>;
}

/** `fleet` or `agent:NAME`: budgets belong to names, so that deleting and creating frees nothing. */
export type Scope = "fleet" | `agent:${string}`;

/** A reservation: exactly one of settle and release ends it; a second end is a no-op. */
export interface Hold {
  readonly id: string;
  readonly worst: Amount;
  readonly writes: readonly Write[];
}

export interface BudgetRefusal {
  readonly scope: Scope;
  readonly window: "day" | "month";
  readonly unit: "tokens" | "usd";
  readonly cap: number;
  /** Spent for certain; the rest of what is not left only waits for other calls to settle. */
  readonly settled: number;
  readonly left: number;
  readonly wanted: number;
  readonly resetsAtMs: number;
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cost: Amount;
}

/**
 * Invariant, in every scope and window, at every instant and after every crash: settled + reserved <= cap.
 * Changes memory in one tick and returns the rows to commit; the caller commits them with the audit record.
 */
export interface Ledger {
  /** All scopes or none. */
  reserve(scopes: readonly Scope[], worst: Amount, model: string): Result<Hold, BudgetRefusal>;
  /** The smallest amount left over the scopes, per unit: Infinity where no cap is set. */
  left(scopes: readonly Scope[]): Amount;
  /** Cost is clamped to what was reserved; the return tells how much the provider reported above it. */
  settle(holdId: string, usage: Usage): { readonly writes: readonly Write[]; readonly above: Amount };
  release(holdId: string): { readonly writes: readonly Write[] };
}
