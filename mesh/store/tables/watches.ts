import type { Prepare } from "../database.ts";

/** How far each durable watch has come; the changes themselves are rows of the board's log (`boardLog`). */
export const watchTables = `
  CREATE TABLE board_change (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL
  ) STRICT;
  INSERT INTO board_change (tenant, key, version) SELECT tenant, key, version FROM board_version ORDER BY rowid;

  CREATE TABLE board_watch (
    tenant  TEXT NOT NULL,
    watcher TEXT NOT NULL,
    match   TEXT NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq >= 0),
    PRIMARY KEY (tenant, watcher, match)
  ) STRICT, WITHOUT ROWID;
`;

/** `passed`: where it is above `seq`, there is nothing between them that the watcher might see. */
export const watchPlaces = "ALTER TABLE board_watch ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;";

export const watchStatements = {
  /** (tenant, watcher, match, seq, passed): inserts, or moves the place, also back: a watcher may read again. */
  "watches.put": `INSERT INTO board_watch (tenant, watcher, match, seq, passed) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (tenant, watcher, match) DO UPDATE SET seq = excluded.seq, passed = excluded.passed`,
  /** (tenant, watcher): all of its watches. */
  "watches.remove": "DELETE FROM board_watch WHERE tenant = ? AND watcher = ?",
} as const;

export interface WatchRow {
  readonly watcher: string;
  readonly match: string;
  /** All up to it was acknowledged, or is not for the watcher to see. */
  readonly passed: number;
}

/** `writer` and what follows is null when the version has been dropped from the history. */
export interface ChangeRow {
  readonly seq: number;
  readonly key: string;
  readonly version: number;
  readonly label: string | null;
  readonly writer: string | null;
  readonly atMs: number | null;
  readonly deleted: 0 | 1 | null;
}

export function watchQueries(prepare: Prepare) {
  const changes = prepare<ChangeRow>(
    `SELECT l.seq, k.key, l.version, l.label, l.writer, l.at_ms AS atMs, l.deleted
     FROM board_log l CROSS JOIN board_key k ON k.id = l.key
     WHERE k.tenant = ? AND l.seq > ? ORDER BY l.seq LIMIT ?`,
  );
  const head = prepare<{ seq: number | null }>("SELECT max(seq) AS seq FROM board_log");
  const place = prepare<{ seq: number; passed: number }>(
    "SELECT seq, max(seq, passed) AS passed FROM board_watch WHERE tenant = ? AND watcher = ? AND match = ?",
  );
  const all = prepare<WatchRow>("SELECT watcher, match, max(seq, passed) AS passed FROM board_watch WHERE tenant = ?");
  const count = prepare<{ n: number }>("SELECT count(*) AS n FROM board_watch WHERE tenant = ? AND watcher = ?");
  return {
    /** Changes after `seq`, in the order of commit. */
    changes: (tenant: string, seq: number, limit: number): ChangeRow[] => changes.all(tenant, seq, limit),
    /** The newest change that is on disk. */
    head: (): number => head.get()?.seq ?? 0,
    place: (tenant: string, watcher: string, match: string): { seq: number; passed: number } | undefined =>
      place.get(tenant, watcher, match),
    /** Every watch and how far it has come. */
    all: (tenant: string): WatchRow[] => all.all(tenant),
    count: (tenant: string, watcher: string): number => count.get(tenant, watcher)?.n ?? 0,
  };
}
