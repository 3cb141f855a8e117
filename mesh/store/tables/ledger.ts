import type { Prepare } from "../database.ts";

/** Running totals, so that starting and reserving cost the same on an old ledger as on a new one. */
export const ledgerTables = `
  CREATE TABLE budget_counter (
    scope           TEXT NOT NULL,
    window          TEXT NOT NULL CHECK (window IN ('day', 'month')),
    window_start_ms INTEGER NOT NULL,
    unit            TEXT NOT NULL CHECK (unit IN ('tokens', 'usd')),
    settled         INTEGER NOT NULL CHECK (settled >= 0),
    reserved        INTEGER NOT NULL CHECK (reserved >= 0),
    PRIMARY KEY (scope, window, window_start_ms, unit)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX budget_counter_by_window ON budget_counter (window, window_start_ms);

  CREATE TABLE budget_hold (
    id               TEXT PRIMARY KEY,
    scopes           TEXT NOT NULL,
    windows          TEXT NOT NULL,
    worst_tokens     INTEGER NOT NULL CHECK (worst_tokens >= 0),
    worst_micro_usd  INTEGER NOT NULL CHECK (worst_micro_usd >= 0),
    model            TEXT NOT NULL,
    at_ms            INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE usage_total (
    scope         TEXT NOT NULL,
    model         TEXT NOT NULL,
    calls         INTEGER NOT NULL CHECK (calls >= 0),
    input_tokens  INTEGER NOT NULL CHECK (input_tokens >= 0),
    output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
    micro_usd     INTEGER NOT NULL CHECK (micro_usd >= 0),
    PRIMARY KEY (scope, model)
  ) STRICT, WITHOUT ROWID;
`;

export const ledgerStatements = {
  /** (scope, window, window_start_ms, unit, settled, reserved): absolute values; the last of a flush wins. */
  "ledger.putCounter": `INSERT INTO budget_counter (scope, window, window_start_ms, unit, settled, reserved)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, window, window_start_ms, unit)
    DO UPDATE SET settled = excluded.settled, reserved = excluded.reserved`,
  /** (id, scopes: JSON array, windows: JSON object, worst_tokens, worst_micro_usd, model, at_ms) */
  "ledger.insertHold": `INSERT INTO budget_hold (id, scopes, windows, worst_tokens, worst_micro_usd, model, at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?)`,
  /** (id) */
  "ledger.deleteHold": "DELETE FROM budget_hold WHERE id = ?",
  /** (scope, model, calls, input_tokens, output_tokens, micro_usd): absolute values; the last of a flush wins. */
  "ledger.putUsage": `INSERT INTO usage_total (scope, model, calls, input_tokens, output_tokens, micro_usd)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, model)
    DO UPDATE SET calls = excluded.calls, input_tokens = excluded.input_tokens,
      output_tokens = excluded.output_tokens, micro_usd = excluded.micro_usd`,
} as const;

export interface CounterRow {
  readonly scope: string;
  readonly window: "day" | "month";
  readonly windowStartMs: number;
  readonly unit: "tokens" | "usd";
  readonly settled: number;
  readonly reserved: number;
}
/** `scopes` and `windows` are JSON. */
export interface HoldRow {
  readonly id: string;
  readonly scopes: string;
  readonly windows: string;
  readonly worstTokens: number;
  readonly worstMicroUsd: number;
  readonly model: string;
  readonly atMs: number;
}
export interface UsageRow {
  readonly scope: string;
  readonly model: string;
  readonly calls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly microUsd: number;
}

const COUNTER = "scope, window, window_start_ms AS windowStartMs, unit, settled, reserved";

export function ledgerQueries(prepare: Prepare) {
  const newest = prepare<{ start: number | null }>(
    "SELECT max(window_start_ms) AS start FROM budget_counter WHERE window = ?",
  );
  const counters = prepare<CounterRow>(
    `SELECT ${COUNTER} FROM budget_counter WHERE window = ? AND window_start_ms = ? ORDER BY scope, unit`,
  );
  const allCounters = prepare<CounterRow>(
    `SELECT ${COUNTER} FROM budget_counter ORDER BY scope, window, window_start_ms, unit`,
  );
  const holds = prepare<HoldRow>(
    `SELECT id, scopes, windows, worst_tokens AS worstTokens, worst_micro_usd AS worstMicroUsd, model, at_ms AS atMs
     FROM budget_hold ORDER BY at_ms, id`,
  );
  const usage = prepare<UsageRow>(
    `SELECT scope, model, calls, input_tokens AS inputTokens, output_tokens AS outputTokens, micro_usd AS microUsd
     FROM usage_total ORDER BY scope, model`,
  );
  return {
    /** The start of the latest window of a kind that holds a counter. */
    newestWindowStartMs: (window: "day" | "month"): number | undefined => newest.get(window)?.start ?? undefined,
    counters: (window: "day" | "month", startMs: number): CounterRow[] => counters.all(window, startMs),
    /** Every window there ever was: for checks, not for the way of a request. */
    allCounters: (): CounterRow[] => allCounters.all(),
    /** Reservations that nothing has ended. */
    holds: (): HoldRow[] => holds.all(),
    usage: (): UsageRow[] => usage.all(),
  };
}
