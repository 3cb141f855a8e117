import type { LateRow, LateRows, Row, Write } from "../store/store.ts";
import { Utf8Text } from "../store/utf8-text.ts";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { zero, type Quantities } from "./amount.ts";
import type { Form } from "./forms.ts";
import { deleteHoldRow, holdRow, type OpenHold } from "./hold.ts";
import type { Usage } from "./ledger.ts";
import type { DayCharge } from "./spending.ts";

/** A row of a table that the journal is ahead of, until it is written. */
export interface Behind extends LateRow {
  /** Waits to be written. */
  behind: boolean;
}

const kinds = { end: 0, hold: 1, spend: 2, carried: 3 } as const;

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
  /** The rest of a JSON array whose first bracket is not there. */
  readonly #ops = new Utf8Text();
  #count = 0;
  /** How often, and the forms that the journal needs since and that are not written. */
  #emptied = 0;
  #forms: Form[] = [];
  #behindSinceMs = 0;
  #tablesNow = false;
  #behind: Behind[] = [];
  /** Operations since the last transaction. */
  #countNow = 0;
  /** Open holds that were made since the journal was emptied. */
  #said = new Set<OpenHold>();
  /** Open holds without a row that the journal was begun with. */
  #carried = new Set<OpenHold>();
  /** Holds that have ended and have a row. */
  #ended: OpenHold[] = [];
  #after: Row[] = [];

  constructor(clock: Clock, opsMax: number = limits.ledger.journalOpsMax) {
    this.#clock = clock;
    this.#opsMax = opsMax;
  }

  opened(hold: OpenHold): void {
    this.#count1();
    this.#said.add(hold);
    this.#hold(kinds.hold, hold);
  }

  /** `settled` of what was held stays in each place; `charge`: of a hold that a model has used. */
  ended(hold: OpenHold, settled: Readonly<Quantities>, charge?: DayCharge, usage?: Usage): void {
    if (hold.kept === "row") this.#ended.push(hold);
    else if (hold.kept === "carried") this.#carried.delete(hold);
    else this.#said.delete(hold);
    hold.kept = "ended";
    this.#count1();
    this.#begin(kinds.end, hold.id, hold.form);
    this.#changes(hold.held, -1, settled);
    if (charge && usage) this.#charge(charge, usage);
    this.#ops.byte(BRACKET_END);
  }

  spent(form: Form, settled: Readonly<Quantities>): void {
    this.#count1();
    this.#begin(kinds.spend, "", form);
    this.#changes(NOTHING, 1, settled);
    this.#ops.byte(BRACKET_END);
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
    if (this.#ops.length === 0) return rows;
    for (const form of this.#forms) rows.push(form.row());
    this.#ops.byte(BRACKET_END);
    // The bytes are taken at once (`LateRows`).
    rows.push(["ledger.journal", this.#ops.view()]);
    this.#forms = [];
    this.#ops.cut(0);
    return rows;
  }

  #count1(): void {
    if (this.#count++ === 0) this.#behindSinceMs = this.#clock.monotonicMs();
    this.#countNow++;
  }

  #hold(kind: number, { id, form, held, atMs }: OpenHold): void {
    this.#begin(kind, id, form);
    this.#changes(held, 1, NOTHING);
    this.#ops.item(atMs);
    this.#ops.byte(BRACKET_END);
  }

  #begin(kind: number, id: string, form: Form): void {
    if (form.writtenSince !== this.#emptied) {
      form.writtenSince = this.#emptied;
      this.#forms.push(form);
    }
    this.#ops.byte(this.#ops.length === 0 ? BRACKET : COMMA);
    this.#ops.byte(BRACKET);
    this.#ops.number(kind);
    this.#ops.byte(COMMA);
    this.#ops.json(id);
    this.#ops.item(form.id);
  }

  /** Eight numbers in the order of the columns of `budget_total`. */
  #changes(reserved: Readonly<Quantities>, sign: 1 | -1, settled: Readonly<Quantities>): void {
    this.#ops.item(settled.tokens);
    this.#ops.item(sign * reserved.tokens);
    this.#ops.item(settled.usd);
    this.#ops.item(sign * reserved.usd);
    this.#ops.item(settled.requests);
    this.#ops.item(sign * reserved.requests);
    this.#ops.item(settled.bytes);
    this.#ops.item(sign * reserved.bytes);
  }

  /** The counts of `usage_day`, and what is added to `usage_total`. */
  #charge(charge: DayCharge, usage: Usage): void {
    this.#ops.item(1);
    this.#ops.item(charge.estimates);
    this.#ops.item(charge.inputTokens);
    this.#ops.item(charge.cacheReadTokens);
    this.#ops.item(charge.cacheWriteTokens);
    this.#ops.item(charge.outputTokens);
    this.#ops.item(charge.microUsd);
    this.#ops.item(usage.inputTokens);
    this.#ops.item(usage.outputTokens);
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
      hold.kept = "row";
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
    for (const hold of this.#carried) {
      hold.kept = "row";
      rows.push(holdRow(hold));
    }
    for (const hold of this.#ended) rows.push(deleteHoldRow(hold));
    for (const row of this.#after) rows.push(row);
    rows.push(["ledger.emptyJournal"], ["ledger.emptyForms"]);
    [this.#behind, this.#ended, this.#after, this.#forms] = [[], [], [], []];
    this.#emptied++;
    this.#ops.cut(0);
    this.#count = 0;
    this.#tablesNow = false;
    [this.#carried, this.#said] = [this.#said, new Set()];
    for (const hold of this.#carried) {
      hold.kept = "carried";
      this.#hold(kinds.carried, hold);
    }
    return rows;
  }
}

/** Of holds, to be written or deleted for each operation of a transaction. */
const ROWS_EACH = 2;

const NOTHING: Readonly<Quantities> = zero();
const [BRACKET, BRACKET_END, COMMA] = [0x5b, 0x5d, 0x2c];
