import { assert } from "../../lib/assert.ts";
import type { Row } from "../store/store.ts";
import type { TotalRow } from "../store/tables/ledger.ts";
import { isZero, units, zero, type Quantities } from "./amount.ts";
import type { Behind } from "./journal.ts";
import type { Scope, Unit } from "./ledger.ts";
import type { WindowName } from "./windows.ts";

/**
 * One running total, and the row that makes it durable. Invariant: all are safe integers, not negative, and so is the
 * sum of both of a unit.
 */
export class Counter implements Behind {
  /** Also `SCOPE>DESTINATION`. */
  readonly scope: Scope;
  readonly window: WindowName;
  readonly startMs: number;
  readonly settled = zero();
  readonly reserved = zero();
  behind = false;

  constructor(scope: Scope, window: WindowName, startMs: number) {
    this.scope = scope;
    this.window = window;
    this.startMs = startMs;
  }

  lateRow(): Row {
    const { settled: s, reserved: r } = this;
    return [
      ...(["ledger.putTotal", this.scope, this.window, this.startMs] as const),
      ...[s.tokens, r.tokens, s.usd, r.usd, s.requests, r.requests, s.bytes, r.bytes],
    ];
  }
}

const NONE: Pick<Counter, "settled" | "reserved"> = { settled: zero(), reserved: zero() };

/** The totals in memory: the authority while the mesh runs. Every change gives what makes it durable. */
export class Counters {
  /** By window, so that the end of a window is no walk over all of them. */
  readonly #windows = new Map<WindowName, Map<string, Counter>>();

  load(rows: readonly TotalRow[]): void {
    for (const row of rows) {
      const counter = this.at(row.scope as Scope, row.window as WindowName, row.startMs);
      Object.assign(counter.settled, settledOf(row));
      Object.assign(counter.reserved, reservedOf(row));
      for (const unit of units) assertSound(counter, unit);
    }
  }

  at(scope: Scope, window: WindowName, startMs: number): Counter {
    let counters = this.#windows.get(window);
    if (!counters) this.#windows.set(window, (counters = new Map()));
    const key = `${startMs} ${scope}`;
    let counter = counters.get(key);
    if (!counter) counters.set(key, (counter = new Counter(scope, window, startMs)));
    return counter;
  }

  /** Without making one. */
  peek(scope: Scope, window: WindowName, startMs: number): Pick<Counter, "settled" | "reserved"> {
    return this.#windows.get(window)?.get(`${startMs} ${scope}`) ?? NONE;
  }

  has(scope: Scope, window: WindowName, startMs: number): boolean {
    return this.#windows.get(window)?.has(`${startMs} ${scope}`) ?? false;
  }

  all(): Counter[] {
    return [...this.#windows.values()].flatMap((counters) => [...counters.values()]);
  }

  /** Forgets the windows that are over, have nothing reserved and are written; their rows stay. */
  forgetBefore(window: WindowName, startMs: number): void {
    const counters = this.#windows.get(window);
    for (const [key, counter] of counters ?? [])
      if (counter.startMs < startMs && isZero(counter.reserved) && !counter.behind) counters?.delete(key);
  }

  /** Forgets one; false when something is reserved in it, or it is not written. */
  forget(scope: Scope, window: WindowName, startMs: number): boolean {
    const key = `${startMs} ${scope}`;
    const counter = this.#windows.get(window)?.get(key);
    if (counter && (counter.behind || !isZero(counter.reserved))) return false;
    this.#windows.get(window)?.delete(key);
    return true;
  }
}

/**
 * Moves amounts into or out of a counter. The sum may only grow with a reservation. `sign` 1: what is reserved comes in
 * addition; -1: it goes.
 */
export function change(
  { reserved: r, settled: s }: Counter,
  reserved: Readonly<Quantities>,
  sign: 1 | -1,
  settled: Readonly<Quantities>,
): void {
  r.tokens += sign * reserved.tokens;
  r.usd += sign * reserved.usd;
  r.requests += sign * reserved.requests;
  r.bytes += sign * reserved.bytes;
  s.tokens += settled.tokens;
  s.usd += settled.usd;
  s.requests += settled.requests;
  s.bytes += settled.bytes;
  assertPair(s.tokens, r.tokens);
  assertPair(s.usd, r.usd);
  assertPair(s.requests, r.requests);
  assertPair(s.bytes, r.bytes);
}

/** Takes back what was settled too high. */
export function lower(counter: Counter, by: Readonly<Quantities>): void {
  for (const unit of units) {
    counter.settled[unit] -= by[unit];
    assertSound(counter, unit);
  }
}

const assertSound = ({ settled, reserved }: Counter, unit: Unit): void => assertPair(settled[unit], reserved[unit]);

function assertPair(settled: number, reserved: number): void {
  assert(Number.isSafeInteger(settled) && settled >= 0, "a settled total is a natural number");
  assert(Number.isSafeInteger(reserved) && reserved >= 0, "a reserved total is a natural number");
  assert(Number.isSafeInteger(settled + reserved), "settled + reserved is a safe integer");
}

const settledOf = (row: TotalRow): Quantities => ({
  tokens: row.settledTokens,
  usd: row.settledMicroUsd,
  requests: row.settledRequests,
  bytes: row.settledBytes,
});
const reservedOf = (row: TotalRow): Quantities => ({
  tokens: row.reservedTokens,
  usd: row.reservedMicroUsd,
  requests: row.reservedRequests,
  bytes: row.reservedBytes,
});
