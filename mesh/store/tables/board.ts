import type { Prepare } from "../database.ts";

/** Every version is a row that is never changed; `board_current` points at the newest of each key. */
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
 * A write of the board is `board.insertVersion` and `board.setCurrent` in one commit. Queries see committed
 * rows only: the room keeps the newest version of a key that is on its way to the disk, and compares with that.
 */
export const boardStatements = {
  /** (tenant, key, version, value, label: JSON, writer, writer_session, at_ms, expires_at_ms | null, deleted: 0 | 1) */
  "board.insertVersion": `INSERT INTO board_version
    (tenant, key, version, value, label, writer, writer_session, at_ms, expires_at_ms, deleted)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  /** (tenant, key, version): inserts or moves the pointer; a pointer never moves back. */
  "board.setCurrent": `INSERT INTO board_current (tenant, key, version) VALUES (?, ?, ?)
    ON CONFLICT (tenant, key) DO UPDATE SET version = max(version, excluded.version)`,
  /** (tenant, key, version): drops the history below `version`; the current version stays in any case. */
  "board.deleteVersionsBelow": `DELETE FROM board_version WHERE tenant = ?1 AND key = ?2 AND version < ?3
    AND version < (SELECT version FROM board_current WHERE tenant = ?1 AND key = ?2)`,
} as const;

/** `label` is JSON. A deleted or expired entry keeps its row: the room decides what a reader sees. */
export interface BoardEntryRow {
  readonly key: string;
  readonly version: number;
  readonly value: string;
  readonly label: string;
  readonly writer: string;
  readonly writerSession: string;
  readonly atMs: number;
  readonly expiresAtMs: number | null;
  readonly deleted: 0 | 1;
}
export type BoardListRow = Omit<BoardEntryRow, "value">;

const META = `v.key, v.version, v.label, v.writer, v.writer_session AS writerSession, v.at_ms AS atMs,
  v.expires_at_ms AS expiresAtMs, v.deleted`;
const CURRENT =
  "board_current c JOIN board_version v ON v.tenant = c.tenant AND v.key = c.key AND v.version = c.version";
// Keys are ASCII (protocol/names.ts), so the highest code point ends every range of a prefix.
const RANGE = "c.tenant = ?1 AND c.key >= ?2 AND c.key < ?2 || char(1114111) AND c.key > ?3";

export function boardQueries(prepare: Prepare) {
  const current = prepare<BoardEntryRow>(`SELECT ${META}, v.value FROM ${CURRENT} WHERE c.tenant = ? AND c.key = ?`);
  const version = prepare<BoardEntryRow>(
    `SELECT ${META}, v.value FROM board_version v WHERE v.tenant = ? AND v.key = ? AND v.version = ?`,
  );
  const list = prepare<BoardListRow>(`SELECT ${META} FROM ${CURRENT} WHERE ${RANGE} ORDER BY c.key LIMIT ?4`);
  const listValues = prepare<BoardEntryRow>(
    `SELECT ${META}, v.value FROM ${CURRENT} WHERE ${RANGE} ORDER BY c.key LIMIT ?4`,
  );
  const history = prepare<BoardListRow>(
    `SELECT ${META} FROM board_version v WHERE v.tenant = ? AND v.key = ? AND v.version < ? ORDER BY v.version DESC LIMIT ?`,
  );
  const count = prepare<{ keys: number }>("SELECT count(*) AS keys FROM board_current WHERE tenant = ?");
  return {
    /** The newest version of a key, also when it is deleted or expired. */
    current: (tenant: string, key: string): BoardEntryRow | undefined => current.get(tenant, key),
    version: (tenant: string, key: string, n: number): BoardEntryRow | undefined => version.get(tenant, key, n),
    /** Newest versions of the keys that start with `prefix` and come after `afterKey` (both may be empty). */
    list: (tenant: string, prefix: string, afterKey: string, limit: number): BoardListRow[] =>
      list.all(tenant, prefix, afterKey, limit),
    listValues: (tenant: string, prefix: string, afterKey: string, limit: number): BoardEntryRow[] =>
      listValues.all(tenant, prefix, afterKey, limit),
    /** Versions below `beforeVersion`, newest first. */
    history: (tenant: string, key: string, beforeVersion: number, limit: number): BoardListRow[] =>
      history.all(tenant, key, beforeVersion, limit),
    /** Keys that were ever written, the deleted among them. */
    countKeys: (tenant: string): number => count.get(tenant)?.keys ?? 0,
  };
}
