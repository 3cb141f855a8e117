/** Moves records between the forms in which they are stored, so that one attempt on them serves all forms. */
import { createSecretKey } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { checkpointBytes, genesisHash, headMac, lineHash, recordHash } from "../../mesh/audit/chain.ts";
import { statements } from "../../mesh/store/statements.ts";
import type { AuditRecordRow } from "../../mesh/store/tables/audit.ts";
import { recordsOf, type AuditSegmentRow } from "../../mesh/store/tables/audit-segment.ts";
import type { auditKeys } from "./world.ts";

const segmentsOf = (db: DatabaseSync): AuditSegmentRow[] =>
  db.prepare("SELECT * FROM audit_segment ORDER BY first").all() as unknown as AuditSegmentRow[];

export const rowsOf = (db: DatabaseSync): AuditRecordRow[] =>
  db
    .prepare("SELECT seq, at_ms AS atMs, kind, subject, detail, hash FROM audit ORDER BY seq")
    .all() as unknown as AuditRecordRow[];

const insertRow = (db: DatabaseSync, { seq, atMs, kind, subject, detail, hash }: AuditRecordRow): void =>
  void db.prepare(statements["audit.insert"]).run(seq, atMs, kind, subject, detail, hash);

/** A record of a segment as it is stored, and hashed. */
export const lineOf = ({ atMs, kind, subject, detail }: Omit<AuditRecordRow, "seq" | "hash" | "line">): string =>
  `${atMs} ${kind} ${subject} ${detail}`;

function insertSegment(db: DatabaseSync, rows: readonly AuditRecordRow[]): void {
  const [first, last] = [rows[0], rows.at(-1)];
  if (!first || !last) return;
  const hashes = Buffer.concat(rows.map(({ hash }) => hash));
  const lines = rows.map((row) => lineOf(row)).join("\n");
  db.prepare(statements["audit.insertSegment"]).run(first.seq, last.seq, hashes, lines);
}

/** Shows the records of segments as rows of `audit` to `change`; what is there then goes back to segments of that size. */
export function asRows(db: DatabaseSync, change: (db: DatabaseSync) => void): void {
  const kept = rowsOf(db).at(-1)?.seq ?? -Infinity;
  const segments = segmentsOf(db);
  for (const record of segments.flatMap(recordsOf)) insertRow(db, record);
  db.exec("DELETE FROM audit_segment");
  change(db);
  if (segments.length === 0) return;
  const begins = new Set(segments.map(({ first }) => first));
  let segment: AuditRecordRow[] = [];
  for (const row of rowsOf(db)) {
    if (row.seq <= kept) continue;
    if (begins.has(row.seq) || row.seq !== (segment.at(-1)?.seq ?? NaN) + 1) {
      insertSegment(db, segment);
      segment = [];
    }
    segment.push(row);
    db.prepare("DELETE FROM audit WHERE seq = ?").run(row.seq);
  }
  insertSegment(db, segment);
}

/** Makes the first `count` records what they were before there were segments, with every proof anew. */
export function withFirstForm(db: DatabaseSync, count: number, keys: ReturnType<typeof auditKeys>): void {
  const records = [...rowsOf(db), ...segmentsOf(db).flatMap(recordsOf)];
  db.exec("DELETE FROM audit; DELETE FROM audit_segment");
  let hash = genesisHash;
  const chained = records.map((record): AuditRecordRow => {
    hash = record.seq <= count ? recordHash(hash, record) : lineHash(hash, record.seq, lineOf(record));
    return { ...record, hash };
  });
  for (const record of chained.slice(0, count)) insertRow(db, record);
  insertSegment(db, chained.slice(count));
  const checkpoints = db.prepare("SELECT seq, at_ms AS atMs FROM audit_checkpoint ORDER BY seq").all();
  for (const { seq, atMs } of checkpoints as unknown as { seq: number; atMs: number }[]) {
    const signed = chained[seq - 1]?.hash ?? genesisHash;
    const signature = keys.signer.sign(checkpointBytes(seq, signed, atMs));
    db.prepare("UPDATE audit_checkpoint SET hash = ?, signature = ? WHERE seq = ?").run(signed, signature, seq);
  }
  const lastSeq = Number(checkpoints.at(-1)?.["seq"] ?? 0);
  const key = keys.macKey.reveal((bytes) => createSecretKey(bytes));
  const mac = headMac(key, chained.length, hash, { count: checkpoints.length, lastSeq });
  db.prepare("UPDATE audit_head SET hash = ?, mac = ?").run(hash, mac);
}
