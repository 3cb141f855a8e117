import type { AuditRecordRow } from "./audit.ts";

/** Records that went to the disk together. */
export interface AuditSegmentRow {
  /** Seq of the first and of the last record. */
  readonly first: number;
  readonly last: number;
  /**
   * One line each: `AT_MS KIND SUBJECT DETAIL`, a record but for its seq, which is its place. Neither kind nor subject holds
   * a space (`writeEvent` looks at both), and canonical JSON no line break.
   */
  readonly records: string;
  /** 32 bytes each, in the same order. */
  readonly hashes: Uint8Array;
}

const HASH_BYTES = 32;

/**
 * The records of a segment. Of one that somebody has changed there is one record for each line, and one that fits nothing
 * for what is said to be more.
 */
export function recordsOf({ first, last, records, hashes }: AuditSegmentRow): AuditRecordRow[] {
  const lines = records.split("\n");
  if (last - first + 1 !== lines.length || hashes.length !== lines.length * HASH_BYTES) lines.push("");
  return lines.map((line, at) => ({
    seq: first + at,
    ...fieldsOf(line),
    hash: hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
    line,
  }));
}

function fieldsOf(line: string): Pick<AuditRecordRow, "atMs" | "kind" | "subject" | "detail"> {
  const kindAt = line.indexOf(" ") + 1;
  const subjectAt = line.indexOf(" ", kindAt) + 1;
  const detailAt = line.indexOf(" ", subjectAt) + 1;
  return {
    atMs: Number(line.slice(0, kindAt)),
    kind: line.slice(kindAt, subjectAt - 1),
    subject: line.slice(subjectAt, detailAt - 1),
    detail: line.slice(detailAt),
  };
}
