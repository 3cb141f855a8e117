import { assert } from "../../lib/assert.ts";
import type { CounterRow } from "../store/tables/ledger.ts";
import type { Write } from "../store/store.ts";
import type { Amount, Scope } from "./ledger.ts";
import type { WindowKind } from "./windows.ts";

export type Unit = "tokens" | "usd";
export const units: readonly Unit[] = ["tokens", "usd"];
export const amountOf = (amount: Amount, unit: Unit): number => (unit === "tokens" ? amount.tokens : amount.microUsd);

/** One running total. Invariant: both are safe integers, not negative, and so is their sum. */
export interface Counter {
  readonly scope: Scope;
  readonly window: WindowKind;
  readonly startMs: number;
  readonly unit: Unit;
  settled: number;
  reserved: number;
}

/** The totals in memory: the authority while the mesh runs. Every change gives the row that makes it durable. */
export class Counters {
  readonly #counters = new Map<string, Counter>();

  load(rows: readonly CounterRow[]): void {
    for (const row of rows) {
      const counter = this.at(row.scope as Scope, row.window, row.windowStartMs, row.unit);
      counter.settled = row.settled;
      counter.reserved = row.reserved;
      assertSound(counter);
    }
  }

  at(scope: Scope, window: WindowKind, startMs: number, unit: Unit): Counter {
    const key = `${scope} ${window} ${startMs} ${unit}`;
    let counter = this.#counters.get(key);
    if (!counter) this.#counters.set(key, (counter = { scope, window, startMs, unit, settled: 0, reserved: 0 }));
    return counter;
  }

  /** Without making one. */
  peek(scope: Scope, window: WindowKind, startMs: number, unit: Unit): Pick<Counter, "settled" | "reserved"> {
    return this.#counters.get(`${scope} ${window} ${startMs} ${unit}`) ?? { settled: 0, reserved: 0 };
  }

  /** Forgets the windows that are over and have nothing reserved; their rows stay. */
  forgetBefore(window: WindowKind, startMs: number): void {
    for (const [key, counter] of this.#counters) {
      if (counter.window === window && counter.startMs < startMs && counter.reserved === 0) this.#counters.delete(key);
    }
  }
}

/** Moves an amount into or out of a counter. The sum may only grow with `reserve`. */
export function change(counter: Counter, by: { readonly reserved: number; readonly settled: number }): Write {
  counter.reserved += by.reserved;
  counter.settled += by.settled;
  assertSound(counter);
  const { scope, window, startMs, unit, settled, reserved } = counter;
  return ["ledger.putCounter", scope, window, startMs, unit, settled, reserved];
}

function assertSound({ settled, reserved }: Counter): void {
  assert(Number.isSafeInteger(settled) && settled >= 0, "a settled total is a natural number");
  assert(Number.isSafeInteger(reserved) && reserved >= 0, "a reserved total is a natural number");
  assert(Number.isSafeInteger(settled + reserved), "settled + reserved is a safe integer");
}
