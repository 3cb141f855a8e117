import type { Prepare } from "../database.ts";

/** As it was first: every version a row, `board_current` pointing at the newest of each key. */
export const boardTables = `
  CREATE TABLE board_version (
    tenant         TEXT NOT NULL,
    key            TEXT NOT NULL,
    version        INTEGER NOT NULL CHECK (version >= 1),
    value          TEXT NOT NULL,
    label          TEXT NOT NULL,
    writer         TEXT NOT NULL,
    writer_session TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    expires_at_ms  INTEGER,
    deleted        INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    PRIMARY KEY (tenant, key, version)
  ) STRICT;

  CREATE TABLE board_current (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
  ) STRICT, WITHOUT ROWID;
`;

/**
 * A log instead: rows are only ever added at its end, in the order of commit, so that many writes of many keys at once
 * change few pages. `seq` is the number of the change; `before` leads to the version before it, `board_head` to the newest.
 * A version that was dropped from the history keeps its row without its content: whoever watches still learns of it.
 */
export const boardLog = `
  CREATE TABLE board_key (
    id     INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    key    TEXT NOT NULL,
    UNIQUE (tenant, key)
  ) STRICT;

  CREATE TABLE board_log (
    seq            INTEGER PRIMARY KEY,
    key            INTEGER NOT NULL,
    version        INTEGER NOT NULL CHECK (version >= 1),
    before         INTEGER NOT NULL,
    value          TEXT NOT NULL,
    label          TEXT,
    writer         TEXT,
    writer_session TEXT,
    at_ms          INTEGER,
    expires_at_ms  INTEGER,
    deleted        INTEGER CHECK (deleted IN (0, 1)),
    dropped        INTEGER NOT NULL CHECK (dropped IN (0, 1))
  ) STRICT;

  CREATE TABLE board_head (
    key INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
  ) STRICT;

  INSERT INTO board_key (tenant, key) SELECT tenant, key FROM board_current ORDER BY tenant, key;
  INSERT INTO board_log
    SELECT c.seq, k.id, c.version, coalesce(lag(c.seq) OVER (PARTITION BY k.id ORDER BY c.version), 0),
      coalesce(v.value, ''), v.label, v.writer, v.writer_session, v.at_ms, v.expires_at_ms, v.deleted, v.key IS NULL
    FROM board_change c
    JOIN board_key k ON k.tenant = c.tenant AND k.key = c.key
    LEFT JOIN board_version v ON v.tenant = c.tenant AND v.key = c.key AND v.version = c.version
    ORDER BY c.seq;
  INSERT INTO board_head
    SELECT k.id, c.seq FROM board_change c
    JOIN board_key k ON k.tenant = c.tenant AND k.key = c.key
    JOIN board_current n ON n.tenant = c.tenant AND n.key = c.key AND n.version = c.version;
  DROP TABLE board_change;
  DROP TABLE board_current;
  DROP TABLE board_version;
`;

/**
 * `maker` of a key that lives, null of one that was deleted: the bound of keys counts those that live, and lists look at
 * them only. A deleted key keeps its row, so that its versions go on where they stood.
 */
export const boardMakers = `
  ALTER TABLE board_key ADD COLUMN maker TEXT;
  UPDATE board_key SET maker = (
    SELECT l.writer FROM board_head h JOIN board_log l ON l.seq = h.seq WHERE h.key = board_key.id AND l.deleted = 0
  );
  CREATE INDEX board_key_live ON board_key (tenant, key) WHERE maker IS NOT NULL;
`;

const KEY = "SELECT id FROM board_key WHERE tenant = ?1 AND key = ?2";
const HEAD = `SELECT seq FROM board_head WHERE key = (${KEY})`;

/**
 * A write of the board is `board.insert` and `board.setHead`, for a new key after `board.insertKey`, in one commit; the
 * commits of a key in the order of its versions. Queries see committed rows only: the room keeps the newest version of
 * a key that is on its way to the disk, and compares with that.
 */
export const boardStatements = {
  /** (id, tenant, key, maker): a key that was never written before. */
  "board.insertKey": "INSERT INTO board_key (id, tenant, key, maker) VALUES (?, ?, ?, ?)",
  /** (maker | null, id): it lives again, or no more. */
  "board.setMaker": "UPDATE board_key SET maker = ? WHERE id = ?",
  /** (key id, version, value, label: JSON, writer, writer_session, at_ms, expires_at_ms | null, deleted: 0 | 1) */
  "board.insert": `INSERT INTO board_log
    (key, version, before, value, label, writer, writer_session, at_ms, expires_at_ms, deleted, dropped)
    VALUES (?1, ?2, coalesce((SELECT seq FROM board_head WHERE key = ?1), 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)`,
  /** (key id): to what the statement before it has inserted. */
  "board.setHead": `INSERT INTO board_head (key, seq) VALUES (?, last_insert_rowid())
    ON CONFLICT (key) DO UPDATE SET seq = excluded.seq`,
  /** (key id, version): takes the content of what is below `version`, never that of the newest. */
  "board.dropBelow": `UPDATE board_log
    SET dropped = 1, before = 0, value = '', label = NULL, writer = NULL, writer_session = NULL, at_ms = NULL,
      expires_at_ms = NULL, deleted = NULL
    WHERE seq IN (
      WITH RECURSIVE older (seq, version, before) AS (
        SELECT seq, version, before FROM board_log WHERE seq = (SELECT seq FROM board_head WHERE key = ?1)
        UNION ALL SELECT l.seq, l.version, l.before FROM older JOIN board_log l ON l.seq = older.before
      )
      SELECT seq FROM older WHERE version < ?2 AND seq <> (SELECT seq FROM board_head WHERE key = ?1)
    )`,
} as const;

/** `label` is JSON. A deleted or expired entry keeps its row: the room decides what a reader sees. */
export interface BoardEntryRow {
  readonly seq: number;
  readonly id: number;
  readonly key: string;
  readonly version: number;
  readonly value: string;
  readonly label: string;
  readonly writer: string;
  readonly writerSession: string;
  readonly atMs: number;
  readonly expiresAtMs: number | null;
  readonly deleted: 0 | 1;
  /** null: not counted among the keys that live; its newest version is a deletion, or has expired. */
  readonly maker: string | null;
}
export type BoardListRow = Omit<BoardEntryRow, "value">;

const META = `l.seq, k.id, k.key, k.maker, l.version, l.label, l.writer, l.writer_session AS writerSession, l.at_ms AS atMs,
  l.expires_at_ms AS expiresAtMs, l.deleted`;
const CURRENT = "board_key k JOIN board_head h ON h.key = k.id JOIN board_log l ON l.seq = h.seq";
// Keys are ASCII (protocol/names.ts), so the highest code point ends every range of a prefix. One lower bound only: of two,
// SQLite may seek to the lesser and walk over all that lies between.
const RANGE = "k.tenant = ?1 AND k.key >= ?2 AND k.key < ?3 || char(1114111)";
/** The versions of key ?2, the newest first. */
const BACK = `WITH RECURSIVE older (seq, version, before) AS (
    SELECT seq, version, before FROM board_log WHERE seq = (${HEAD})
    UNION ALL SELECT l.seq, l.version, l.before FROM older JOIN board_log l ON l.seq = older.before
  )`;

export function boardQueries(prepare: Prepare) {
  const current = prepare<BoardEntryRow>(`SELECT ${META}, l.value FROM ${CURRENT} WHERE k.tenant = ? AND k.key = ?`);
  const head = prepare<BoardListRow>(`SELECT ${META} FROM ${CURRENT} WHERE k.tenant = ? AND k.key = ?`);
  const value = prepare<{ value: string }>("SELECT value FROM board_log WHERE seq = ?");
  // The walk goes from the newest version to older ones, and ends with the last row that is asked for.
  const back = `FROM older CROSS JOIN board_log l ON l.seq = older.seq CROSS JOIN board_key k ON k.id = l.key WHERE l.dropped = 0`;
  const version = prepare<BoardEntryRow>(`${BACK} SELECT ${META}, l.value ${back} AND older.version <= ?3 LIMIT 1`);
  // From the index alone: the versions of keys that nobody asked for stay where they are.
  const names = prepare<{ key: string }>(
    `SELECT k.key FROM board_key k WHERE ${RANGE} AND k.maker IS NOT NULL ORDER BY k.key LIMIT ?4`,
  );
  const history = prepare<BoardListRow>(`${BACK} SELECT ${META} ${back} AND older.version < ?3 LIMIT ?4`);
  const lastId = prepare<{ id: number | null }>("SELECT max(id) AS id FROM board_key");
  const makers = prepare<{ maker: string; keys: number }>(
    "SELECT maker, count(*) AS keys FROM board_key WHERE maker IS NOT NULL GROUP BY maker",
  );
  const page = prepare<BoardListRow>(
    `SELECT ${META} FROM (SELECT id FROM board_key WHERE id > ?1 ORDER BY id LIMIT ?2) one
     CROSS JOIN board_key k ON k.id = one.id CROSS JOIN board_head h ON h.key = k.id CROSS JOIN board_log l ON l.seq = h.seq`,
  );
  return {
    /** How many keys that live were made by whom. */
    makers: (): { readonly maker: string; readonly keys: number }[] => makers.all(),
    /** The newest versions of the `limit` keys after `afterId`, by id. */
    page: (afterId: number, limit: number): BoardListRow[] => page.all(afterId, limit),
    /** The newest version of a key, also when it is deleted or expired. */
    current: (tenant: string, key: string): BoardEntryRow | undefined => current.get(tenant, key),
    head: (tenant: string, key: string): BoardListRow | undefined => head.get(tenant, key),
    value: (seq: number): string | undefined => value.get(seq)?.value,
    version: (tenant: string, key: string, n: number): BoardEntryRow | undefined => {
      const row = version.get(tenant, key, n);
      return row?.version === n ? row : undefined;
    },
    /** Keys that start with `prefix` and come after `afterKey` (both may be empty), also those that are expired. */
    names: (tenant: string, prefix: string, afterKey: string, limit: number): string[] =>
      names.all(tenant, afterKey === "" ? prefix : `${afterKey}\u0001`, prefix, limit).map(({ key }) => key),
    /** Versions below `beforeVersion`, newest first. */
    history: (tenant: string, key: string, beforeVersion: number, limit: number): BoardListRow[] =>
      history.all(tenant, key, beforeVersion, limit),
    /** The last id that was given to a key. */
    lastId: (): number => lastId.get()?.id ?? 0,
  };
}
