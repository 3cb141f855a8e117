import type { Queries } from "../store/queries.ts";
import type { AuditRecordRow } from "../store/tables/audit.ts";
import { hashOf, sameBytes } from "./chain.ts";

/** How far ahead the true record is looked for. */
const LOOK_AHEAD_ROWS = 1_000;

/**
 * Says what happened where record `row` does not follow record `goodSeq`, whose hash is `goodHash`.
 * The position is certain; the kind of change is the simplest one that explains the rows that follow.
 */
export function explain(
  query: Pick<Queries, "audit">,
  row: AuditRecordRow,
  goodSeq: number,
  goodHash: Uint8Array,
): string {
  const want = goodSeq + 1;
  if (row.seq < want) return "inserted: it stands before the first record";
  if (row.seq > want) return row.seq === want + 1 ? "missing" : `missing: records ${want} to ${row.seq - 1}`;
  const ahead = query.audit.page(row.seq, LOOK_AHEAD_ROWS);
  const truth = ahead.findIndex((other) => follows(other, want, goodHash));
  if (truth < 0) return "altered: it does not follow from the record before it";
  const found = ahead[truth] as AuditRecordRow;
  // The record that stands here is genuine at the other's place: the two changed places.
  const before = truth === 0 ? found.hash : (ahead[truth - 1] as AuditRecordRow).hash;
  if (follows(row, found.seq, before)) return `reordered: the true record stands at ${found.seq}`;
  return `inserted: the true record stands at ${found.seq}`;
}

const follows = (row: AuditRecordRow, seq: number, previous: Uint8Array): boolean =>
  sameBytes(hashOf(previous, { ...row, seq }), row.hash);
