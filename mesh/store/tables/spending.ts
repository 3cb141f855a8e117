import type { Prepare } from "../database.ts";

/** What was spent on each day, for people: no reservation reads it. */
export const spendingTables = `
  CREATE TABLE usage_day (
    start_ms           INTEGER NOT NULL,
    agent              TEXT NOT NULL,
    model              TEXT NOT NULL,
    run                TEXT NOT NULL,
    teams              TEXT NOT NULL,
    credential         TEXT NOT NULL,
    price              TEXT NOT NULL,
    day                TEXT NOT NULL,
    end_ms             INTEGER NOT NULL,
    calls              INTEGER NOT NULL CHECK (calls >= 0),
    estimates          INTEGER NOT NULL CHECK (estimates >= 0),
    input_tokens       INTEGER NOT NULL CHECK (input_tokens >= 0),
    cache_read_tokens  INTEGER NOT NULL CHECK (cache_read_tokens >= 0),
    cache_write_tokens INTEGER NOT NULL CHECK (cache_write_tokens >= 0),
    output_tokens      INTEGER NOT NULL CHECK (output_tokens >= 0),
    micro_usd          INTEGER NOT NULL CHECK (micro_usd >= 0),
    PRIMARY KEY (start_ms, agent, model, run, teams, credential, price)
  ) STRICT, WITHOUT ROWID;

  -- Where a call is counted for people, besides the scopes and the model that the row has already.
  ALTER TABLE budget_hold ADD COLUMN credential TEXT NOT NULL DEFAULT '';
  ALTER TABLE budget_hold ADD COLUMN price TEXT NOT NULL DEFAULT '';
  ALTER TABLE budget_estimate ADD COLUMN credential TEXT NOT NULL DEFAULT '';
  ALTER TABLE budget_estimate ADD COLUMN price TEXT NOT NULL DEFAULT '';

  -- Caps that an operator has set while the mesh runs: the newest of a scope, window and unit holds; cap NULL = that
  -- of the fleet file again. Rows are never changed: they are the history.
  CREATE TABLE budget_override (
    seq    INTEGER PRIMARY KEY,
    scope  TEXT NOT NULL,
    window TEXT NOT NULL CHECK (window IN ('day', 'month')),
    unit   TEXT NOT NULL CHECK (unit IN ('tokens', 'usd', 'requests', 'bytes')),
    cap    INTEGER CHECK (cap >= 0),
    at_ms  INTEGER NOT NULL,
    by     TEXT NOT NULL
  ) STRICT;
`;

/** The run that a call belongs to, also when that has no cap of its own. */
export const spendingRuns = `
  ALTER TABLE budget_hold ADD COLUMN run TEXT NOT NULL DEFAULT '';
  ALTER TABLE budget_estimate ADD COLUMN run TEXT NOT NULL DEFAULT '';
`;

/** The tenant that the agent had then, apart from others: what it spent stays with that one. */
export const spendingTenants = `
  CREATE TABLE usage_day_of_tenant (
    start_ms           INTEGER NOT NULL,
    agent              TEXT NOT NULL,
    model              TEXT NOT NULL,
    run                TEXT NOT NULL,
    teams              TEXT NOT NULL,
    tenant             TEXT NOT NULL,
    credential         TEXT NOT NULL,
    price              TEXT NOT NULL,
    day                TEXT NOT NULL,
    end_ms             INTEGER NOT NULL,
    calls              INTEGER NOT NULL CHECK (calls >= 0),
    estimates          INTEGER NOT NULL CHECK (estimates >= 0),
    input_tokens       INTEGER NOT NULL CHECK (input_tokens >= 0),
    cache_read_tokens  INTEGER NOT NULL CHECK (cache_read_tokens >= 0),
    cache_write_tokens INTEGER NOT NULL CHECK (cache_write_tokens >= 0),
    output_tokens      INTEGER NOT NULL CHECK (output_tokens >= 0),
    micro_usd          INTEGER NOT NULL CHECK (micro_usd >= 0),
    PRIMARY KEY (start_ms, agent, model, run, teams, tenant, credential, price)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO usage_day_of_tenant
    SELECT start_ms, agent, model, run, teams, '', credential, price, day, end_ms, calls, estimates, input_tokens,
      cache_read_tokens, cache_write_tokens, output_tokens, micro_usd FROM usage_day;
  DROP TABLE usage_day;
  ALTER TABLE usage_day_of_tenant RENAME TO usage_day;
`;

const SAFE = "9007199254740991";
const COUNTS = [
  "calls",
  "estimates",
  "input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "output_tokens",
  "micro_usd",
] as const;

export const spendingStatements = {
  /**
   * (start_ms, agent, model, run, teams, tenant, credential, price, day, end_ms, calls, estimates, input_tokens,
   * cache_read_tokens, cache_write_tokens, output_tokens, micro_usd): adds to what is there.
   */
  "spending.add": `INSERT INTO usage_day VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET ${COUNTS.map((name) => `${name} = min(${name} + excluded.${name}, ${SAFE})`).join(", ")}`,
  /**
   * (input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, micro_usd freed, then start_ms, agent, model,
   * run, teams, tenant, credential, price): the provider's figure in the place of one estimate that had no tokens.
   */
  "spending.correct": `UPDATE usage_day SET estimates = max(estimates - 1, 0),
      input_tokens = min(input_tokens + ?, ${SAFE}), cache_read_tokens = min(cache_read_tokens + ?, ${SAFE}),
      cache_write_tokens = min(cache_write_tokens + ?, ${SAFE}), output_tokens = min(output_tokens + ?, ${SAFE}),
      micro_usd = max(micro_usd - ?, 0)
    WHERE start_ms = ? AND agent = ? AND model = ? AND run = ? AND teams = ? AND tenant = ? AND credential = ?
      AND price = ?`,
  /** (scope, window, unit, cap or null, at_ms, by) */
  "budget.insertOverride": `INSERT INTO budget_override (scope, window, unit, cap, at_ms, by)
    VALUES (?, ?, ?, ?, ?, ?)`,
} as const;

/** What a column holds that was summed away is empty. `teams` are joined by a comma. */
export interface SpendingRow {
  readonly day: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly agent: string;
  readonly model: string;
  readonly run: string;
  readonly teams: string;
  /** Empty: the agent had none then. */
  readonly tenant: string;
  readonly credential: string;
  readonly price: string;
  readonly calls: number;
  /** How many of the calls were charged without the provider's figure. */
  readonly estimates: number;
  /** Without those of the cache. */
  readonly inputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly outputTokens: number;
  readonly microUsd: number;
}

export interface OverrideRow {
  readonly seq: number;
  readonly scope: string;
  readonly window: "day" | "month";
  readonly unit: "tokens" | "usd" | "requests" | "bytes";
  readonly cap: number | null;
  readonly atMs: number;
  readonly by: string;
}

const KEYS = ["agent", "model", "run", "teams", "tenant", "credential", "price"] as const;
/** What is kept apart, besides the day. */
const groupings = {
  agent: ["agent", "model"],
  team: ["teams", "model"],
  tenant: ["tenant", "model"],
  model: ["model"],
  run: ["run", "model"],
  credential: ["credential", "model"],
  all: KEYS,
} as const satisfies Record<string, readonly (typeof KEYS)[number][]>;
export type SpendingGrouping = keyof typeof groupings;

/** `total` sums as a floating number, so that nothing overflows. */
function sums(kept: readonly string[]): string {
  const columns = KEYS.map((key) => (kept.includes(key) ? key : `'' AS ${key}`)).join(", ");
  const counts = COUNTS.map((name) => `CAST(min(total(${name}), ${SAFE}) AS INTEGER) AS ${camel(name)}`).join(", ");
  return `SELECT day, start_ms AS startMs, max(end_ms) AS endMs, ${columns}, ${counts}
    FROM (SELECT * FROM usage_day UNION ALL SELECT * FROM ledger_journal_day)
    WHERE day >= ? AND start_ms >= ? GROUP BY start_ms, ${kept.join(", ")} ORDER BY start_ms, microUsd DESC LIMIT ?`;
}

const camel = (name: string): string => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

export function spendingQueries(prepare: Prepare) {
  const by = Object.fromEntries(
    Object.entries(groupings).map(([name, kept]) => [name, prepare<SpendingRow>(sums(kept))]),
  ) as Record<SpendingGrouping, ReturnType<typeof prepare<SpendingRow>>>;
  const OVERRIDE = "SELECT seq, scope, window, unit, cap, at_ms AS atMs, by FROM budget_override";
  const history = prepare<OverrideRow>(`${OVERRIDE} ORDER BY seq DESC LIMIT ?`);
  const inForce = prepare<OverrideRow>(
    `${OVERRIDE} WHERE seq IN (SELECT max(seq) FROM budget_override GROUP BY scope, window, unit) ORDER BY seq`,
  );
  return {
    /** From the day `since` on (`YYYY-MM-DD`), at most `rowsMax` rows. */
    days: (grouping: SpendingGrouping, since: string, rowsMax: number): SpendingRow[] =>
      by[grouping].all(since, Math.max(0, Date.parse(since) - DAY_MS) || 0, rowsMax),
    /** The caps that were set, the newest first. */
    overrides: (rowsMax: number): OverrideRow[] => history.all(rowsMax),
    overridesInForce: (): OverrideRow[] => inForce.all(),
  };
}

const DAY_MS = 86_400_000;
