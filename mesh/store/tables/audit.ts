import type { Prepare } from "../database.ts";
import { recordsOf, type AuditSegmentRow } from "./audit-segment.ts";

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

/**
 * What goes to the disk together is one row. Records of before are rows of `audit`; all are one chain. The hashes stand
 * first: a row that does not fit a page keeps its beginning there.
 */
export const auditSegments = `
  CREATE TABLE audit_segment (
    first   INTEGER PRIMARY KEY,
    last    INTEGER NOT NULL,
    hashes  BLOB NOT NULL,
    records TEXT NOT NULL
  ) STRICT;
`;

export const auditStatements = {
  /** (first seq, last seq, hashes: 32 bytes each, records: a line each) */
  "audit.insertSegment": "INSERT INTO audit_segment (first, last, hashes, records) VALUES (?, ?, ?, CAST(? AS TEXT))",
  /** (seq, at_ms, kind, subject, detail: canonical JSON, hash: 32 bytes): the first form; the pasts of simulations have it. */
  "audit.insert": "INSERT INTO audit (seq, at_ms, kind, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?)",
  /** (seq, hash: 32 bytes, mac: 32 bytes): the one row; the last of a flush wins. */
  "audit.setHead": `INSERT INTO audit_head (id, seq, hash, mac) VALUES (1, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, mac = excluded.mac`,
  /** (seq, hash, at_ms, signature: 64 bytes) */
  "audit.insertCheckpoint": "INSERT INTO audit_checkpoint (seq, hash, at_ms, signature) VALUES (?, ?, ?, ?)",
} as const;

/** `detail` is the canonical JSON that was hashed; `line`: the record of a segment, as it stands there. */
export interface AuditRecordRow {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly subject: string;
  readonly detail: string;
  readonly hash: Uint8Array;
  readonly line?: string;
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

/** A segment may be large (`limits.audit.segmentCharsMax`). */
const SEGMENTS_AT_ONCE = 16;
/** A number that somebody has put there and JavaScript has not: it shows as the nearest one, and fits no hash. */
const readable = (sql: string): string => `max(${Number.MIN_SAFE_INTEGER}, min(${Number.MAX_SAFE_INTEGER}, ${sql}))`;
const SEQ_AND_TIME = `${readable("seq")} AS seq, ${readable("at_ms")} AS atMs`;
const RECORD = `${SEQ_AND_TIME}, kind, subject, detail, hash`;
const CHECKPOINT = `${SEQ_AND_TIME}, hash, signature`;

export function auditQueries(prepare: Prepare) {
  const rows = prepare<AuditRecordRow>(`SELECT ${RECORD} FROM audit WHERE audit.seq > ? ORDER BY audit.seq LIMIT ?`);
  const SEGMENT = `SELECT ${readable("first")} AS first, ${readable("last")} AS last, records, hashes`;
  const segments = prepare<AuditSegmentRow>(
    `${SEGMENT} FROM audit_segment AS s WHERE s.first > ? ORDER BY s.first LIMIT ?`,
  );
  const before = prepare<{ first: number }>(
    `SELECT ${readable("first")} AS first FROM audit_segment AS s WHERE s.first <= ? ORDER BY s.first DESC LIMIT 1`,
  );
  const checkpoints = prepare<AuditCheckpointRow>(
    `SELECT ${CHECKPOINT} FROM audit_checkpoint AS c WHERE c.seq > ? ORDER BY c.seq LIMIT ?`,
  );
  const extent = prepare<AuditExtentRow>(`
    SELECT (SELECT ${readable("max(seq)")} FROM (SELECT max(seq) AS seq FROM audit
        UNION ALL SELECT (SELECT max(first, last) FROM audit_segment ORDER BY first DESC LIMIT 1))) AS lastSeq,
      (SELECT ${readable("max(seq)")} FROM audit_checkpoint) AS lastCheckpointSeq,
      (SELECT count(*) FROM audit_checkpoint) AS checkpointCount,
      (SELECT ${readable("seq")} FROM audit_head) AS headSeq, (SELECT hash FROM audit_head) AS headHash,
      (SELECT mac FROM audit_head) AS headMac`);
  const nothing = {
    lastSeq: null,
    lastCheckpointSeq: null,
    checkpointCount: 0,
    headSeq: null,
    headHash: null,
    headMac: null,
  };
  /** From the segment on in which the record after `afterSeq` stands, as far as they are needed. */
  const segmented = (afterSeq: number, limit: number): AuditRecordRow[] => {
    const found: AuditRecordRow[] = [];
    let after = (before.get(afterSeq)?.first ?? -Infinity) - 1;
    while (found.length < limit) {
      const some = segments.all(after, SEGMENTS_AT_ONCE);
      for (const row of some.flatMap(recordsOf)) if (row.seq > afterSeq) found.push(row);
      if (some.length < SEGMENTS_AT_ONCE) break;
      after = some.at(-1)?.first ?? after;
    }
    return found;
  };
  const page = (afterSeq: number, limit: number): AuditRecordRow[] =>
    [...rows.all(afterSeq, limit), ...segmented(afterSeq, limit)].sort((a, b) => a.seq - b.seq).slice(0, limit);
  const readExtent = (): AuditExtentRow => extent.get() ?? nothing;
  return {
    /** Records after `afterSeq`, oldest first. */
    page,
    last: (): AuditRecordRow | undefined => page((readExtent().lastSeq ?? 0) - 1, 1)[0],
    /** Those of the first form alone. */
    rows: (afterSeq: number, limit: number): AuditRecordRow[] => rows.all(afterSeq, limit),
    /** Those that begin after `afterFirst`. */
    segments: (afterFirst: number, limit: number): AuditSegmentRow[] => segments.all(afterFirst, limit),
    checkpoints: (afterSeq: number, limit: number): AuditCheckpointRow[] => checkpoints.all(afterSeq, limit),
    extent: readExtent,
  };
}
