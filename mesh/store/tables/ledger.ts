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

/** One row for all units of a total, so that a reservation writes half as many; requests, bytes, runs and rolling windows. */
export const ledgerTotals = `
  CREATE TABLE budget_total (
    scope              TEXT NOT NULL,
    window             TEXT NOT NULL,
    start_ms           INTEGER NOT NULL,
    settled_tokens     INTEGER NOT NULL CHECK (settled_tokens >= 0),
    reserved_tokens    INTEGER NOT NULL CHECK (reserved_tokens >= 0),
    settled_micro_usd  INTEGER NOT NULL CHECK (settled_micro_usd >= 0),
    reserved_micro_usd INTEGER NOT NULL CHECK (reserved_micro_usd >= 0),
    settled_requests   INTEGER NOT NULL CHECK (settled_requests >= 0),
    reserved_requests  INTEGER NOT NULL CHECK (reserved_requests >= 0),
    settled_bytes      INTEGER NOT NULL CHECK (settled_bytes >= 0),
    reserved_bytes     INTEGER NOT NULL CHECK (reserved_bytes >= 0),
    PRIMARY KEY (scope, window, start_ms)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX budget_total_by_window ON budget_total (window, start_ms);
  INSERT INTO budget_total
    SELECT scope, window, window_start_ms,
      sum(iif(unit = 'tokens', settled, 0)), sum(iif(unit = 'tokens', reserved, 0)),
      sum(iif(unit = 'usd', settled, 0)), sum(iif(unit = 'usd', reserved, 0)), 0, 0, 0, 0
    FROM budget_counter GROUP BY scope, window, window_start_ms;
  DROP TABLE budget_counter;

  ALTER TABLE budget_hold ADD COLUMN requests INTEGER NOT NULL DEFAULT 0 CHECK (requests >= 0);
  ALTER TABLE budget_hold ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0);

  -- What was charged without the provider's figure; it may still be found.
  CREATE TABLE budget_estimate (
    id        TEXT PRIMARY KEY,
    places    TEXT NOT NULL,
    tokens    INTEGER NOT NULL CHECK (tokens >= 0),
    micro_usd INTEGER NOT NULL CHECK (micro_usd >= 0),
    model     TEXT NOT NULL,
    at_ms     INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX budget_estimate_by_time ON budget_estimate (at_ms);
`;

export const ledgerStatements = {
  /**
   * (scope, window, start_ms, then settled and reserved of each of tokens, micro_usd, requests, bytes): absolute
   * values; the last of a flush wins.
   */
  "ledger.putTotal": `INSERT INTO budget_total VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, window, start_ms) DO UPDATE SET
      settled_tokens = excluded.settled_tokens, reserved_tokens = excluded.reserved_tokens,
      settled_micro_usd = excluded.settled_micro_usd, reserved_micro_usd = excluded.reserved_micro_usd,
      settled_requests = excluded.settled_requests, reserved_requests = excluded.reserved_requests,
      settled_bytes = excluded.settled_bytes, reserved_bytes = excluded.reserved_bytes`,
  /** (window, start_ms): buckets of a rolling window that count no more; days, months and runs are never deleted. */
  "ledger.deleteBuckets": `DELETE FROM budget_total WHERE window = ? AND start_ms < ? AND window LIKE 'rolling:%'
    AND reserved_tokens + reserved_micro_usd + reserved_requests + reserved_bytes = 0`,
  /** (id, scopes: JSON array, windows: JSON, worst_tokens, worst_micro_usd, requests, bytes, model, at_ms, credential, price, run) */
  "ledger.insertHold": `INSERT INTO budget_hold
      (id, scopes, windows, worst_tokens, worst_micro_usd, requests, bytes, model, at_ms, credential, price, run)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  /** (at_ms, id) */
  "ledger.deleteHold": "DELETE FROM budget_hold WHERE at_ms = ? AND id = ?",
  /** (id, places: JSON, tokens, micro_usd, model, at_ms, credential, price, run) */
  "ledger.insertEstimate": `INSERT INTO budget_estimate (id, places, tokens, micro_usd, model, at_ms, credential, price, run)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  /** (id) */
  "ledger.deleteEstimate": "DELETE FROM budget_estimate WHERE id = ?",
  /** (at_ms) */
  "ledger.deleteEstimatesBefore": "DELETE FROM budget_estimate WHERE at_ms < ?",
  /** (scope, model, calls, input_tokens, output_tokens, micro_usd): absolute values; the last of a flush wins. */
  "ledger.putUsage": `INSERT INTO usage_total (scope, model, calls, input_tokens, output_tokens, micro_usd)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, model)
    DO UPDATE SET calls = excluded.calls, input_tokens = excluded.input_tokens,
      output_tokens = excluded.output_tokens, micro_usd = excluded.micro_usd`,
} as const;

/** `window`: `day`, `month`, `run` or `rolling:SPAN_MS`. */
export interface TotalRow {
  readonly scope: string;
  readonly window: string;
  readonly startMs: number;
  readonly settledTokens: number;
  readonly reservedTokens: number;
  readonly settledMicroUsd: number;
  readonly reservedMicroUsd: number;
  readonly settledRequests: number;
  readonly reservedRequests: number;
  readonly settledBytes: number;
  readonly reservedBytes: number;
}
/** One unit of a total. */
export interface CounterRow {
  readonly scope: string;
  readonly window: string;
  readonly windowStartMs: number;
  readonly unit: "tokens" | "usd" | "requests" | "bytes";
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
  readonly requests: number;
  readonly bytes: number;
  readonly model: string;
  readonly atMs: number;
  readonly credential: string;
  readonly price: string;
  readonly run: string;
}
/** `places` is JSON. */
export interface EstimateRow {
  readonly id: string;
  readonly places: string;
  readonly tokens: number;
  readonly microUsd: number;
  readonly model: string;
  readonly atMs: number;
  readonly credential: string;
  readonly price: string;
  readonly run: string;
}
export interface UsageRow {
  readonly scope: string;
  readonly model: string;
  readonly calls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly microUsd: number;
}

const TOTAL = `scope, window, start_ms AS startMs, settled_tokens AS settledTokens, reserved_tokens AS reservedTokens,
  settled_micro_usd AS settledMicroUsd, reserved_micro_usd AS reservedMicroUsd, settled_requests AS settledRequests,
  reserved_requests AS reservedRequests, settled_bytes AS settledBytes, reserved_bytes AS reservedBytes`;

/** Of the tables and of the journal, which is ahead of them. */
const totalsNow = (where: string, order: string): string => `
  SELECT scope, window, start_ms AS startMs,
    sum(settled_tokens) AS settledTokens, sum(reserved_tokens) AS reservedTokens,
    sum(settled_micro_usd) AS settledMicroUsd, sum(reserved_micro_usd) AS reservedMicroUsd,
    sum(settled_requests) AS settledRequests, sum(reserved_requests) AS reservedRequests,
    sum(settled_bytes) AS settledBytes, sum(reserved_bytes) AS reservedBytes
  FROM (SELECT * FROM budget_total ${where} UNION ALL SELECT * FROM ledger_journal_total ${where})
  GROUP BY scope, window, start_ms ORDER BY ${order}`;

/** The distinct names by leaps over the index: as fast with a million rows as with ten. */
const WINDOWS = `WITH RECURSIVE seen(name) AS (
    SELECT min(window) FROM budget_total
    UNION ALL SELECT (SELECT min(window) FROM budget_total WHERE window > seen.name) FROM seen WHERE seen.name NOT NULL
  ) SELECT name FROM seen WHERE name NOT NULL UNION SELECT window FROM ledger_journal_total`;

/** A sum that would overflow stays at the largest safe integer. */
const atMost = (name: string): string => `CAST(min(total(${name}), 9007199254740991) AS INTEGER)`;

export function ledgerQueries(prepare: Prepare) {
  const newest = prepare<{ start: number | null }>(
    `SELECT max(start) AS start FROM (SELECT max(start_ms) AS start FROM budget_total WHERE window = ?1
       UNION ALL SELECT max(start_ms) FROM ledger_journal_total WHERE window = ?1)`,
  );
  const windows = prepare<{ name: string }>(WINDOWS);
  const totals = prepare<TotalRow>(
    totalsNow("WHERE window = ?1 AND start_ms >= ?2 AND start_ms <= ?3", "scope, start_ms"),
  );
  const totalsAt = prepare<TotalRow>(
    `SELECT ${TOTAL} FROM budget_total WHERE scope = ? AND window = ? AND start_ms = ?`,
  );
  const allTotals = prepare<TotalRow>(totalsNow("", "scope, window, start_ms"));
  const holds = prepare<HoldRow>(
    `SELECT id, scopes, windows, worst_tokens AS worstTokens, worst_micro_usd AS worstMicroUsd, requests, bytes, model,
       at_ms AS atMs, credential, price, run
     FROM (
       SELECT id, scopes, windows, worst_tokens, worst_micro_usd, requests, bytes, model, at_ms, credential, price, run
         FROM budget_hold
       UNION ALL SELECT * FROM ledger_journal_hold
     )
     WHERE id NOT IN (SELECT id FROM ledger_journal_end) ORDER BY at_ms, id`,
  );
  const estimate = prepare<EstimateRow>(
    "SELECT id, places, tokens, micro_usd AS microUsd, model, at_ms AS atMs, credential, price, run FROM budget_estimate WHERE id = ?",
  );
  const old = prepare<{ id: string }>("SELECT id FROM budget_estimate WHERE at_ms < ? LIMIT 1");
  const usage = prepare<UsageRow>(
    `SELECT scope, model, ${atMost("calls")} AS calls, ${atMost("input_tokens")} AS inputTokens,
       ${atMost("output_tokens")} AS outputTokens, ${atMost("micro_usd")} AS microUsd
     FROM (SELECT * FROM usage_total UNION ALL SELECT * FROM ledger_journal_usage)
     GROUP BY scope, model ORDER BY scope, model`,
  );
  return {
    /** The start of the latest window of a name that holds a total. */
    newestWindowStartMs: (window: string): number | undefined => newest.get(window)?.start ?? undefined,
    /** The names of all windows that hold totals. */
    windows: (): string[] => windows.all().map((row) => row.name),
    /** All scopes' totals of the windows of a name that start in [fromMs, toMs]. */
    totals: (window: string, fromMs: number, toMs: number = fromMs): TotalRow[] => totals.all(window, fromMs, toMs),
    /** Of the table alone: what the journal is ahead in is in the memory of the ledger. */
    totalsAt: (scope: string, window: string, startMs: number): TotalRow | undefined =>
      totalsAt.get(scope, window, startMs),
    /** Every unit of every window there ever was, where it is not zero: for checks, not for the way of a request. */
    allCounters: (): CounterRow[] => allTotals.all().flatMap(countersOf),
    /** Reservations that nothing has ended. */
    holds: (): HoldRow[] => holds.all(),
    estimate: (id: string): EstimateRow | undefined => estimate.get(id),
    /** Whether there are estimates from before `atMs`. */
    oldEstimates: (atMs: number): boolean => old.get(atMs) !== undefined,
    usage: (): UsageRow[] => usage.all(),
  };
}

/** The units of a total that are not zero. */
export function countersOf(row: TotalRow): CounterRow[] {
  const { scope, window, startMs: windowStartMs } = row;
  const units = [
    { unit: "tokens", settled: row.settledTokens, reserved: row.reservedTokens },
    { unit: "usd", settled: row.settledMicroUsd, reserved: row.reservedMicroUsd },
    { unit: "requests", settled: row.settledRequests, reserved: row.reservedRequests },
    { unit: "bytes", settled: row.settledBytes, reserved: row.reservedBytes },
  ] as const;
  return units
    .filter(({ settled, reserved }) => settled > 0 || reserved > 0)
    .map((unit) => ({ scope, window, windowStartMs, ...unit }));
}
