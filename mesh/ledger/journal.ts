import type { LateRow, LateRows, Row, Write } from "../store/store.ts";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { zero, type Quantities } from "./amount.ts";
import type { Form } from "./forms.ts";
import { deleteHoldRow, holdRow, type OpenHold } from "./hold.ts";

/** A row of a table that the journal is ahead of, until it is written. */
export interface Behind extends LateRow {
  /** Waits to be written. */
  behind: boolean;
}

export const kinds = { end: 0, hold: 1, spend: 2, carried: 3 } as const;

/**
 * Makes what the ledger does durable: each transaction gets one row, with all operations since the last
 * (`ledgerForms`). The tables follow now and then, as they stand in memory then, and the journal is empty again but for
 * the holds that are open: they are said once more (`ledgerCarried`), since most of them end soon, and all at once they
 * would keep everybody waiting. Those that are still open later become rows a few at a time.
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
  /** Operations since the last transaction. */
  #countNow = 0;
  /** Open holds without a row: those made since the journal was emptied, and those that it was begun with. */
  #fresh = new Set<OpenHold>();
  #carried = new Set<OpenHold>();
  /** Holds that have ended and have a row. */
  #ended: OpenHold[] = [];
  #after: Row[] = [];

  constructor(clock: Clock, opsMax: number = limits.ledger.journalOpsMax) {
    this.#clock = clock;
    this.#opsMax = opsMax;
  }

  /** `more` is empty, or begins with a comma. */
  note(kind: number, id: string, form: Form, changes: string, more = ""): void {
    if (this.#count++ === 0) this.#behindSinceMs = this.#clock.monotonicMs();
    this.#countNow++;
    this.#say(kind, id, form, `${changes}${more}`);
  }

  opened(hold: OpenHold): void {
    this.#fresh.add(hold);
    this.note(kinds.hold, hold.id, hold.form, holdText(hold));
  }

  /** `charge` is empty, or begins with a comma. */
  ended(hold: OpenHold, changes: string, charge = ""): void {
    if (!this.#fresh.delete(hold) && !this.#carried.delete(hold)) this.#ended.push(hold);
    this.note(kinds.end, hold.id, hold.form, changes, charge);
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
    const rows = due ? this.#tables() : this.#fewHolds();
    this.#countNow = 0;
    if (this.#ops === "") return rows;
    for (const form of this.#forms) rows.push(form.row());
    rows.push(["ledger.journal", `[${this.#ops}]`]);
    this.#forms = [];
    this.#ops = "";
    return rows;
  }

  #say(kind: number, id: string, form: Form, more: string): void {
    if (form.writtenSince !== this.#emptied) {
      form.writtenSince = this.#emptied;
      this.#forms.push(form);
    }
    this.#ops += `${this.#ops === "" ? "[" : ",["}${kind},"${id}",${form.id},${more}]`;
  }

  /**
   * Rows of holds that have ended, and of those that the journal was begun with and that have outlived half of it: as many
   * as are done when it is emptied the next time.
   */
  #fewHolds(): Row[] {
    const rows: Row[] = [];
    let left = this.#countNow * ROWS_EACH;
    for (const hold of this.#ended.splice(0, left)) rows.push(deleteHoldRow(hold));
    left -= rows.length;
    if (this.#count < this.#opsMax / 2) return rows;
    for (const hold of this.#carried) {
      if (left-- <= 0) break;
      this.#carried.delete(hold);
      rows.push(holdRow(hold));
    }
    return rows;
  }

  #tables(): Row[] {
    const rows: Row[] = [];
    for (const row of this.#behind) {
      row.behind = false;
      rows.push(row.lateRow());
    }
    for (const hold of this.#carried) rows.push(holdRow(hold));
    for (const hold of this.#ended) rows.push(deleteHoldRow(hold));
    for (const row of this.#after) rows.push(row);
    rows.push(["ledger.emptyJournal"], ["ledger.emptyForms"]);
    [this.#behind, this.#ended, this.#after, this.#forms] = [[], [], [], []];
    this.#emptied++;
    this.#ops = "";
    this.#count = 0;
    this.#tablesNow = false;
    [this.#carried, this.#fresh] = [this.#fresh, new Set()];
    for (const hold of this.#carried) this.#say(kinds.carried, hold.id, hold.form, holdText(hold));
    return rows;
  }
}

/** Of holds, to be written or deleted for each operation of a transaction. */
const ROWS_EACH = 2;

const holdText = ({ held, atMs }: OpenHold): string => `${changesText(held, 1, NOTHING)},${atMs}`;
const NOTHING: Readonly<Quantities> = zero();

/** Eight numbers in the order of the columns of `budget_total`. */
export function changesText(reserved: Readonly<Quantities>, sign: 1 | -1, settled: Readonly<Quantities>): string {
  return (
    `${settled.tokens},${sign * reserved.tokens},${settled.usd},${sign * reserved.usd},` +
    `${settled.requests},${sign * reserved.requests},${settled.bytes},${sign * reserved.bytes}`
  );
}
