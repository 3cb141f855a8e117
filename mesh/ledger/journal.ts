import type { LateRow, LateRows, Row, Write } from "../store/store.ts";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Quantities } from "./amount.ts";
import type { Form } from "./forms.ts";
import { deleteHoldRow, holdRow, type OpenHold } from "./hold.ts";

/** A row of a table that the journal is ahead of, until it is written. */
export interface Behind extends LateRow {
  /** Waits to be written. */
  behind: boolean;
}

export const kinds = { end: 0, hold: 1, spend: 2 } as const;

/**
 * Makes what the ledger does durable: each transaction gets one row, with all operations since the last
 * (`ledgerForms`). The tables follow now and then, as they stand in memory then, and the journal is empty again.
 */
export class Journal implements LateRows {
  /** To be committed in the tick of the operation. */
  readonly writes: readonly Write[] = Object.freeze([this]);
  readonly #clock: Clock;
  readonly #opsMax: number;
  #ops = "";
  #count = 0;
  /** How often, and the forms that the journal needs since and that are not written. */
  #emptied = 0;
  #forms: Form[] = [];
  #behindSinceMs = 0;
  #tablesNow = false;
  #behind: Behind[] = [];
  /** Open holds without a row. */
  readonly #unwritten = new Set<OpenHold>();
  /** Holds that have ended and have a row. */
  #ended: string[] = [];
  #after: Row[] = [];

  constructor(clock: Clock, opsMax: number = limits.ledger.journalOpsMax) {
    this.#clock = clock;
    this.#opsMax = opsMax;
  }

  /** `more` is empty, or begins with a comma. */
  note(kind: number, id: string, form: Form, changes: string, more = ""): void {
    if (this.#count++ === 0) this.#behindSinceMs = this.#clock.monotonicMs();
    if (form.writtenSince !== this.#emptied) {
      form.writtenSince = this.#emptied;
      this.#forms.push(form);
    }
    this.#ops += `${this.#ops === "" ? "[" : ",["}${kind},"${id}",${form.id},${changes}${more}]`;
  }

  opened(hold: OpenHold): void {
    this.#unwritten.add(hold);
  }

  ended(hold: OpenHold): void {
    if (!this.#unwritten.delete(hold)) this.#ended.push(hold.id);
  }

  /** A row of a table has changed. */
  changed(row: Behind): void {
    if (row.behind) return;
    row.behind = true;
    this.#behind.push(row);
  }

  /** A row that holds only when the tables are up to the journal, and for which they are brought up to it. */
  afterTables(row: Row): void {
    this.#after.push(row);
    this.#tablesNow = true;
  }

  /** The same, without haste. */
  withTables(row: Row): void {
    this.#after.push(row);
  }

  lateRows(): readonly Row[] {
    const due =
      this.#tablesNow ||
      this.#count >= this.#opsMax ||
      (this.#count > 0 && this.#clock.monotonicMs() - this.#behindSinceMs >= limits.ledger.journalMsMax);
    if (due) return this.#tables();
    if (this.#ops === "") return [];
    const rows = this.#forms.map((form) => form.row());
    rows.push(["ledger.journal", `[${this.#ops}]`]);
    this.#forms = [];
    this.#ops = "";
    return rows;
  }

  #tables(): Row[] {
    const rows: Row[] = [];
    for (const row of this.#behind) {
      row.behind = false;
      rows.push(row.lateRow());
    }
    for (const hold of this.#unwritten) rows.push(holdRow(hold));
    for (const id of this.#ended) rows.push(deleteHoldRow(id));
    for (const row of this.#after) rows.push(row);
    rows.push(["ledger.emptyJournal"], ["ledger.emptyForms"]);
    this.#unwritten.clear();
    [this.#behind, this.#ended, this.#after, this.#forms] = [[], [], [], []];
    this.#emptied++;
    this.#ops = "";
    this.#count = 0;
    this.#tablesNow = false;
    return rows;
  }
}

/** Eight numbers in the order of the columns of `budget_total`. */
export function changesText(reserved: Readonly<Quantities>, sign: 1 | -1, settled: Readonly<Quantities>): string {
  return (
    `${settled.tokens},${sign * reserved.tokens},${settled.usd},${sign * reserved.usd},` +
    `${settled.requests},${sign * reserved.requests},${settled.bytes},${sign * reserved.bytes}`
  );
}
