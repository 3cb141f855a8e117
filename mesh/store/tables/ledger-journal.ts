/**
 * What the ledger has done since its tables were last written: one row for each transaction, in which the operations
 * stand one after the other. The views add it up, so that every reader sees all that is on disk.
 *
 * In this first form an operation is a JSON array: [kind, hold id, eight changes, places, hold or null, charge or null].
 * - kind: 1 makes a hold, 0 ends one, 2 spends without one.
 * - changes, the same in each place: the columns of `budget_total`, in their order.
 * - places: [scope, window, start_ms] each, as in `budget_hold.windows`.
 * - hold: the columns of `budget_hold` from `scopes` on, in the order of `ledger.insertHold`, without `windows`.
 * - charge: [the columns of `usage_day`, the scopes of `usage_total`, input_tokens, output_tokens].
 */
export const ledgerJournal = `
  CREATE TABLE ledger_journal (
    seq INTEGER PRIMARY KEY,
    ops TEXT NOT NULL
  ) STRICT;

  -- Added up by their places first: of those there are few, and many operations.
  CREATE VIEW ledger_journal_total AS
    SELECT p.value ->> 0 AS scope, p.value ->> 1 AS window, p.value ->> 2 AS start_ms,
      sum(st) AS settled_tokens, sum(rt) AS reserved_tokens, sum(su) AS settled_micro_usd, sum(ru) AS reserved_micro_usd,
      sum(sr) AS settled_requests, sum(rr) AS reserved_requests, sum(sb) AS settled_bytes, sum(rb) AS reserved_bytes
    FROM (
      SELECT o.value -> 10 AS places, sum(o.value ->> 2) AS st, sum(o.value ->> 3) AS rt, sum(o.value ->> 4) AS su,
        sum(o.value ->> 5) AS ru, sum(o.value ->> 6) AS sr, sum(o.value ->> 7) AS rr, sum(o.value ->> 8) AS sb,
        sum(o.value ->> 9) AS rb
      FROM ledger_journal j, json_each(j.ops) o GROUP BY 1
    ) s, json_each(s.places) p
    GROUP BY 1, 2, 3;

  CREATE VIEW ledger_journal_end AS
    SELECT o.value ->> 1 AS id FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 = 0;
  CREATE VIEW ledger_journal_hold AS
    SELECT o.value ->> 1 AS id, h ->> 0 AS scopes, o.value ->> 10 AS windows, h ->> 1 AS worst_tokens,
      h ->> 2 AS worst_micro_usd, h ->> 3 AS requests, h ->> 4 AS bytes, h ->> 5 AS model, h ->> 6 AS at_ms,
      h ->> 7 AS credential, h ->> 8 AS price, h ->> 9 AS run
    FROM (
      SELECT o.value, o.value -> 11 AS h FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 = 1
    ) o;

  CREATE VIEW ledger_journal_usage AS
    SELECT s.value AS scope, model, sum(calls) AS calls, sum(input) AS input_tokens, sum(output) AS output_tokens,
      sum(usd) AS micro_usd
    FROM (
      SELECT c -> 1 AS scopes, c ->> '$[0][2]' AS model, count(*) AS calls, sum(c ->> 2) AS input, sum(c ->> 3) AS output,
        sum(c ->> '$[0][16]') AS usd
      FROM (SELECT o.value -> 12 AS c FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 = 0)
      WHERE c <> 'null' GROUP BY 1, 2
    ) u, json_each(u.scopes) s
    GROUP BY 1, 2;

  CREATE VIEW ledger_journal_day AS
    SELECT d ->> 0 AS start_ms, d ->> 1 AS agent, d ->> 2 AS model, d ->> 3 AS run, d ->> 4 AS teams, d ->> 5 AS tenant,
      d ->> 6 AS credential, d ->> 7 AS price, d ->> 8 AS day, d ->> 9 AS end_ms, d ->> 10 AS calls,
      d ->> 11 AS estimates, d ->> 12 AS input_tokens, d ->> 13 AS cache_read_tokens, d ->> 14 AS cache_write_tokens,
      d ->> 15 AS output_tokens, d ->> 16 AS micro_usd
    FROM (
      SELECT o.value -> '$[12][0]' AS d FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 = 0
    ) WHERE d NOT NULL;
`;

const COUNTS = [
  ...["settled_tokens", "reserved_tokens", "settled_micro_usd", "reserved_micro_usd"],
  ...["settled_requests", "reserved_requests", "settled_bytes", "reserved_bytes"],
];
const DAY_COUNTS = [
  ...["calls", "estimates", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "micro_usd"],
];

/**
 * A net change that is negative is added to its row before it is inserted, as SQLite checks what is to be inserted first.
 */
const FOLD = `
  INSERT INTO budget_total
    SELECT d.scope, d.window, d.start_ms, ${COUNTS.map((name) => `d.${name} + coalesce(b.${name}, 0)`).join(", ")}
    FROM ledger_journal_total d
    LEFT JOIN budget_total b ON b.scope = d.scope AND b.window = d.window AND b.start_ms = d.start_ms
    WHERE true
    ON CONFLICT DO UPDATE SET ${COUNTS.map((name) => `${name} = excluded.${name}`).join(", ")};
  INSERT INTO budget_hold (id, scopes, windows, worst_tokens, worst_micro_usd, requests, bytes, model, at_ms, credential, price, run)
    SELECT * FROM ledger_journal_hold;
  DELETE FROM budget_hold WHERE id IN (SELECT id FROM ledger_journal_end);
  INSERT INTO usage_total SELECT * FROM ledger_journal_usage WHERE true
    ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
      input_tokens = min(input_tokens + excluded.input_tokens, 9007199254740991),
      output_tokens = min(output_tokens + excluded.output_tokens, 9007199254740991),
      micro_usd = min(micro_usd + excluded.micro_usd, 9007199254740991);
  INSERT INTO usage_day SELECT * FROM ledger_journal_day WHERE true
    ON CONFLICT DO UPDATE SET ${DAY_COUNTS.map((name) => `${name} = min(${name} + excluded.${name}, 9007199254740991)`).join(", ")};
`;

/** `which`: of the operations. */
const totalView = (which = ""): string => `CREATE VIEW ledger_journal_total AS
    SELECT p.value ->> 0 AS scope, p.value ->> 1 AS window, p.value ->> 2 AS start_ms,
      sum(st) AS settled_tokens, sum(rt) AS reserved_tokens, sum(su) AS settled_micro_usd, sum(ru) AS reserved_micro_usd,
      sum(sr) AS settled_requests, sum(rr) AS reserved_requests, sum(sb) AS settled_bytes, sum(rb) AS reserved_bytes
    FROM (
      SELECT o.value ->> 2 AS form, sum(o.value ->> 3) AS st, sum(o.value ->> 4) AS rt, sum(o.value ->> 5) AS su,
        sum(o.value ->> 6) AS ru, sum(o.value ->> 7) AS sr, sum(o.value ->> 8) AS rr, sum(o.value ->> 9) AS sb,
        sum(o.value ->> 10) AS rb
      FROM ledger_journal j, json_each(j.ops) o${which} GROUP BY 1
    ) s JOIN ledger_form f ON f.id = s.form, json_each(f.places) p
    GROUP BY 1, 2, 3;`;

const holdView = (which: string, more = ""): string => `CREATE VIEW ledger_journal_hold AS
    SELECT o ->> 1 AS id, f.scopes AS scopes, f.places AS windows, o ->> 4 AS worst_tokens, o ->> 6 AS worst_micro_usd,
      o ->> 8 AS requests, o ->> 10 AS bytes, f.model AS model, o ->> 11 AS at_ms, f.credential AS credential,
      f.price AS price, f.run AS run
    FROM (SELECT o.value AS o FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 ${which})
    JOIN ledger_form f ON f.id = o ->> 2${more};`;

const NO_ROW_YET = `
    WHERE NOT EXISTS (SELECT 1 FROM budget_hold b WHERE b.at_ms = o ->> 11 AND b.id = o ->> 1)`;

/**
 * What is the same in many operations stands once in `ledger_form`, until the journal is emptied: a call of an agent
 * differs from the last one in its numbers only.
 *
 * An operation is a JSON array: [kind, hold id, form, eight changes, more].
 * - kind: 1 makes a hold, 0 ends one, 2 spends without one.
 * - changes, the same in each place of the form: the columns of `budget_total`, in their order.
 * - more of a hold: at_ms. Its worst case is what it reserves.
 * - more of an end that is charged: calls, estimates, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens
 *   and micro_usd of `usage_day`, then input_tokens and output_tokens of `usage_total`.
 *
 * A form: `places` and `scopes` as in `budget_hold`, `day`: the first columns of `usage_day`, `charged`: the scopes of
 * `usage_total`.
 */
export const ledgerForms = `
  ${FOLD}
  DELETE FROM ledger_journal;

  DROP VIEW ledger_journal_total;
  DROP VIEW ledger_journal_end;
  DROP VIEW ledger_journal_hold;
  DROP VIEW ledger_journal_usage;
  DROP VIEW ledger_journal_day;

  CREATE TABLE ledger_form (
    id         INTEGER PRIMARY KEY,
    places     TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    model      TEXT NOT NULL,
    credential TEXT NOT NULL,
    price      TEXT NOT NULL,
    run        TEXT NOT NULL,
    day        TEXT NOT NULL,
    charged    TEXT NOT NULL
  ) STRICT;

  -- Added up by their forms first: of those there are few, and many operations.
  ${totalView()}

  CREATE VIEW ledger_journal_end AS
    SELECT o.value ->> 1 AS id FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 = 0;
  ${holdView("= 1")}

  CREATE VIEW ledger_journal_usage AS
    SELECT s.value AS scope, f.model AS model, sum(u.calls) AS calls, sum(input) AS input_tokens,
      sum(output) AS output_tokens, sum(usd) AS micro_usd
    FROM (
      SELECT o.value ->> 2 AS form, count(*) AS calls, sum(o.value ->> 18) AS input, sum(o.value ->> 19) AS output,
        sum(o.value ->> 17) AS usd
      FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 = 0 AND o.value ->> 11 NOT NULL GROUP BY 1
    ) u JOIN ledger_form f ON f.id = u.form, json_each(f.charged) s
    GROUP BY 1, 2;

  CREATE VIEW ledger_journal_day AS
    SELECT d ->> 0 AS start_ms, d ->> 1 AS agent, d ->> 2 AS model, d ->> 3 AS run, d ->> 4 AS teams, d ->> 5 AS tenant,
      d ->> 6 AS credential, d ->> 7 AS price, d ->> 8 AS day, d ->> 9 AS end_ms, calls, estimates, input_tokens,
      cache_read_tokens, cache_write_tokens, output_tokens, micro_usd
    FROM (
      SELECT f.day AS d, o ->> 11 AS calls, o ->> 12 AS estimates, o ->> 13 AS input_tokens, o ->> 14 AS cache_read_tokens,
        o ->> 15 AS cache_write_tokens, o ->> 16 AS output_tokens, o ->> 17 AS micro_usd
      FROM (
        SELECT o.value AS o FROM ledger_journal j, json_each(j.ops) o WHERE o.value ->> 0 = 0 AND o.value ->> 11 NOT NULL
      ) JOIN ledger_form f ON f.id = o ->> 2
    );
`;

/**
 * A journal that was emptied begins with the holds that are open, as operations of kind 3: what they reserve is in the
 * totals already. A hold that is said in the journal may have its row, too.
 *
 * Rows of holds stand in the order in which they were made: by their ids, which are random, each would be a page of its own.
 */
export const ledgerCarried = `
  CREATE TABLE budget_hold_by_time (
    at_ms           INTEGER NOT NULL,
    id              TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    windows         TEXT NOT NULL,
    worst_tokens    INTEGER NOT NULL CHECK (worst_tokens >= 0),
    worst_micro_usd INTEGER NOT NULL CHECK (worst_micro_usd >= 0),
    requests        INTEGER NOT NULL CHECK (requests >= 0),
    bytes           INTEGER NOT NULL CHECK (bytes >= 0),
    model           TEXT NOT NULL,
    credential      TEXT NOT NULL,
    price           TEXT NOT NULL,
    run             TEXT NOT NULL,
    PRIMARY KEY (at_ms, id)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO budget_hold_by_time
    SELECT at_ms, id, scopes, windows, worst_tokens, worst_micro_usd, requests, bytes, model, credential, price, run
    FROM budget_hold;
  DROP TABLE budget_hold;
  ALTER TABLE budget_hold_by_time RENAME TO budget_hold;

  DROP VIEW ledger_journal_total;
  DROP VIEW ledger_journal_hold;

  ${totalView(" WHERE o.value ->> 0 <> 3")}

  ${holdView("IN (1, 3)", NO_ROW_YET)}
`;

/**
 * Brings the tables up to the journal that the last process has left, and empties it, in the transaction in which the
 * database is opened: nothing has read the tables by then. An operation whose form is missing would be lost without a
 * word: the first statement fails instead.
 */
export const foldJournal = `
  INSERT INTO ledger_form SELECT o.value ->> 2, NULL, '', '', '', '', '', '', '' FROM ledger_journal j, json_each(j.ops) o
    WHERE o.value ->> 2 NOT IN (SELECT id FROM ledger_form);
  ${FOLD}
  DELETE FROM ledger_journal;
  DELETE FROM ledger_form;
`;

export const journalStatements = {
  /** (operations: JSON) */
  "ledger.journal": "INSERT INTO ledger_journal (ops) VALUES (CAST(? AS TEXT))",
  /** (id, places: JSON, scopes: JSON, model, credential, price, run, day: JSON, charged: JSON): with or before its first operation. */
  "ledger.insertForm": "INSERT INTO ledger_form VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
  /** (): goes with `ledger.emptyJournal`. */
  "ledger.emptyForms": "DELETE FROM ledger_form",
  /** (): goes with the rows that bring the tables up to everything that is in it. */
  "ledger.emptyJournal": "DELETE FROM ledger_journal",
} as const;
