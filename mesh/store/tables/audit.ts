import type { Prepare } from "../database.ts";

/** The evidence: rows are inserted and never changed, but for the one row of the head. */
export const auditTables = `
  CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,
    hash    BLOB NOT NULL
  ) STRICT;

  CREATE TABLE audit_checkpoint (
    seq       INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL,
    at_ms     INTEGER NOT NULL,
    signature BLOB NOT NULL
  ) STRICT;

  CREATE TABLE audit_head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL,
    mac  BLOB NOT NULL
  ) STRICT;
`;

export const auditStatements = {
  /** (seq, at_ms, kind, subject, detail: canonical JSON, hash: 32 bytes) */
  "audit.insert": "INSERT INTO audit (seq, at_ms, kind, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?)",
  /** (seq, hash: 32 bytes, mac: 32 bytes): the one row; the last of a flush wins. */
  "audit.setHead": `INSERT INTO audit_head (id, seq, hash, mac) VALUES (1, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, mac = excluded.mac`,
  /** (seq, hash, at_ms, signature: 64 bytes) */
  "audit.insertCheckpoint": "INSERT INTO audit_checkpoint (seq, hash, at_ms, signature) VALUES (?, ?, ?, ?)",
} as const;

/** `detail` is the canonical JSON that was hashed. */
export interface AuditRecordRow {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly subject: string;
  readonly detail: string;
  readonly hash: Uint8Array;
}
export interface AuditCheckpointRow {
  readonly seq: number;
  readonly hash: Uint8Array;
  readonly atMs: number;
  readonly signature: Uint8Array;
}
/** How far the evidence reaches, read in one statement: what is appended later does not blur it. */
export interface AuditExtentRow {
  readonly lastSeq: number | null;
  readonly lastCheckpointSeq: number | null;
  readonly checkpointCount: number;
  readonly headSeq: number | null;
  readonly headHash: Uint8Array | null;
  readonly headMac: Uint8Array | null;
}

const RECORD = "seq, at_ms AS atMs, kind, subject, detail, hash";
const CHECKPOINT = "seq, hash, at_ms AS atMs, signature";

export function auditQueries(prepare: Prepare) {
  const page = prepare<AuditRecordRow>(`SELECT ${RECORD} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`);
  const last = prepare<AuditRecordRow>(`SELECT ${RECORD} FROM audit ORDER BY seq DESC LIMIT 1`);
  const checkpoints = prepare<AuditCheckpointRow>(
    `SELECT ${CHECKPOINT} FROM audit_checkpoint WHERE seq > ? ORDER BY seq LIMIT ?`,
  );
  const extent = prepare<AuditExtentRow>(`
    SELECT (SELECT max(seq) FROM audit) AS lastSeq, (SELECT max(seq) FROM audit_checkpoint) AS lastCheckpointSeq,
      (SELECT count(*) FROM audit_checkpoint) AS checkpointCount,
      (SELECT seq FROM audit_head) AS headSeq, (SELECT hash FROM audit_head) AS headHash,
      (SELECT mac FROM audit_head) AS headMac`);
  const nothing = {
    lastSeq: null,
    lastCheckpointSeq: null,
    checkpointCount: 0,
    headSeq: null,
    headHash: null,
    headMac: null,
  };
  return {
    /** Records after `afterSeq`, oldest first. */
    page: (afterSeq: number, limit: number): AuditRecordRow[] => page.all(afterSeq, limit),
    last: (): AuditRecordRow | undefined => last.get(),
    checkpoints: (afterSeq: number, limit: number): AuditCheckpointRow[] => checkpoints.all(afterSeq, limit),
    extent: (): AuditExtentRow => extent.get() ?? nothing,
  };
}
