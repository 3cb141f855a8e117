import type { Queries } from "../store/queries.ts";
import type { AuditRecordRow } from "../store/tables/audit.ts";
import { recordsOf, type AuditSegmentRow } from "../store/tables/audit-segment.ts";

const ROWS_AT_ONCE = 500;
/** A segment may be large. */
const SEGMENTS_AT_ONCE = 16;

/** Walks over everything that is stored of the chain, in the order of what it says of itself: each row of both tables once. */
export class StoredRecords {
  readonly #query: Pick<Queries, "audit">;
  #rows: AuditRecordRow[] = [];
  #segments: AuditSegmentRow[] = [];
  #rowsAfter: number | undefined = -Infinity;
  #segmentsAfter: number | undefined = -Infinity;

  constructor(query: Pick<Queries, "audit">) {
    this.#query = query;
  }

  /** The records of some rows that follow each other; empty when there is none left. */
  next(): readonly AuditRecordRow[] {
    this.#fill();
    const [segment] = this.#segments;
    const [row] = this.#rows;
    if (segment && (!row || segment.first < row.seq)) {
      this.#segments.shift();
      return recordsOf(segment);
    }
    const until = segment ? this.#rows.findIndex(({ seq }) => seq > segment.first) : -1;
    return this.#rows.splice(0, until < 0 ? this.#rows.length : until);
  }

  #fill(): void {
    const { audit } = this.#query;
    if (this.#rows.length === 0 && this.#rowsAfter !== undefined) {
      this.#rows = audit.rows(this.#rowsAfter, ROWS_AT_ONCE);
      this.#rowsAfter = this.#rows.at(-1)?.seq;
    }
    if (this.#segments.length === 0 && this.#segmentsAfter !== undefined) {
      this.#segments = audit.segments(this.#segmentsAfter, SEGMENTS_AT_ONCE);
      this.#segmentsAfter = this.#segments.at(-1)?.first;
    }
  }
}
