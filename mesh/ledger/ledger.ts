import type { Result } from "../../lib/result.ts";
import type { Write } from "../store/store.ts";
import type { WindowName } from "./windows.ts";

/** Whole tokens and whole micro-USD; never a fraction, never negative. */
export interface Amount {
  readonly tokens: number;
  readonly microUsd: number;
}

/** `usd` is counted in micro-USD. `bytes` are those that are sent outward. */
export type Unit = "tokens" | "usd" | "requests" | "bytes";
export type CapUnits = Partial<Record<Unit, number>>;

/** A unit that is absent has no cap. `run` never resets; it is for the scopes `run:` and `step:`. */
export interface Caps {
  readonly day: CapUnits;
  readonly month: CapUnits;
  readonly run?: CapUnits;
  /** Over any `spanMs` milliseconds. */
  readonly rolling?: readonly { readonly spanMs: number; readonly cap: CapUnits }[];
  /** Further caps on what goes to one destination; a destination without caps is not counted apart. */
  readonly destinations?: Readonly<Record<string, Pick<Caps, "day" | "month" | "rolling">>>;
}

/** Budgets belong to names, so that deleting and creating frees nothing. `step:RUN/STEP` lies in `run:RUN`. */
export type Scope = "fleet" | `${"team" | "tenant" | "agent" | "run" | "step"}:${string}`;

/** A reservation: exactly one of settle and release ends it, by this very object; a second end is a no-op. */
export interface Hold {
  readonly id: string;
  readonly worst: Amount;
  readonly writes: readonly Write[];
}

export interface BudgetRefusal {
  /** `SCOPE>DESTINATION` when the cap is one on a destination. */
  readonly scope: Scope;
  readonly window: WindowName;
  readonly unit: Unit;
  readonly cap: number;
  /** Spent for certain; the rest of what is not left only waits for other calls to settle. */
  readonly settled: number;
  readonly left: number;
  readonly wanted: number;
  /** When there is room again at the earliest; the end of time for a window that never resets. */
  readonly resetsAtMs: number;
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of the input. */
  readonly cacheReadTokens?: number;
  readonly cacheWriteTokens?: number;
  readonly cost: Amount;
}

/** What leaves the mesh besides what a model charges: one request of no counted bytes, if nothing is said. */
export interface Sent {
  readonly requests?: number;
  readonly bytes?: number;
  /** Name of the provider or the host. */
  readonly destination?: string;
  /** For people: the credential that pays, where its price is from, and the run that it is for. */
  readonly credential?: string | null;
  readonly price?: string;
  readonly run?: string | undefined;
}

/** What leaves the mesh and costs nothing else. */
export interface Departed {
  readonly requests: number;
  readonly bytes: number;
  /** Name of the host. */
  readonly destination: string;
}

/**
 * Invariant, in every scope and window, at every instant and after every crash: settled + reserved <= cap.
 * Changes memory in one tick and returns the rows to commit; the caller commits them with the audit record.
 */
export interface Ledger {
  /** All scopes or none. */
  reserve(scopes: readonly Scope[], worst: Amount, model: string, sent?: Sent): Result<Hold, BudgetRefusal>;
  /**
   * What is sent and is spent with that: in all scopes or in none, and there is no hold, as nothing of it is given back.
   * The rows are to be on disk before it is sent.
   */
  spend(scopes: readonly Scope[], departed: Departed): Result<readonly Write[], BudgetRefusal>;
  /** The smallest amount left over the scopes, per unit: Infinity where no cap is set. */
  left(scopes: readonly Scope[], destination?: string): Amount;
  /**
   * Cost is clamped to what was reserved; the return tells how much the provider reported above it. An `estimate`
   * is kept until the provider's own figure is found: see `correct`.
   */
  settle(
    hold: Hold,
    usage: Usage,
    more?: { readonly estimate?: boolean },
  ): { readonly writes: readonly Write[]; readonly above: Amount };
  /** Nothing is charged. The request and its bytes stay counted, unless they were `unsent`. */
  release(hold: Hold, more?: { readonly unsent?: boolean }): { readonly writes: readonly Write[] };
  /**
   * Puts the provider's figure, found later, in the place of an estimate (also one that a crash made): once, in the
   * windows where it was charged, and never above it. Undefined: no such estimate.
   */
  correct(holdId: string, usage: Usage): { readonly writes: readonly Write[]; readonly freed: Amount } | undefined;
  /**
   * Caps for a run or a step, until `closeScope`. What it spent before, also before a restart, counts.
   * A scope that is not open has no caps of its own.
   */
  openScope(scope: Scope, caps: CapUnits): void;
  closeScope(scope: Scope): void;
}
