import type { DatabaseSync, StatementSync } from "node:sqlite";
import { limits } from "../../protocol/limits.ts";
import { LogFile } from "./log-file.ts";

const { checkpointPagesMin, logLookTransactions } = limits.store;

/** The write-ahead log as its only writer sees it, between two transactions. */
export class Log {
  readonly #file: LogFile;
  readonly #pages: StatementSync;
  readonly #copy: StatementSync;
  #copying = false;
  #unseen = 0;
  #dueAtPages: number = checkpointPagesMin;

  constructor(db: DatabaseSync, database: string) {
    this.#file = new LogFile(database);
    this.#pages = db.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#copy = db.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    // `LogCopy` copies. Should it not come, a transaction does.
    db.exec(`PRAGMA wal_autocheckpoint = ${2 * checkpointPagesMin}`);
  }

  /** After a transaction: whether the log is to be copied back from now on. To ask SQLite costs half as much as to write a row. */
  look(): boolean {
    if (++this.#unseen < logLookTransactions) return false;
    this.#unseen = 0;
    this.#file.grow();
    const pages = Number(this.#pages.get()?.["log"]);
    if (pages < checkpointPagesMin) this.#dueAtPages = checkpointPagesMin;
    if (this.#copying || pages < this.#dueAtPages) return false;
    // Where somebody reads for long it does not begin anew: then not every transaction asks for a copy.
    this.#dueAtPages = pages + checkpointPagesMin / 4;
    this.#copying = true;
    return true;
  }

  /** It was copied: what has been added meanwhile is little, and after it the log begins anew. */
  finish(): void {
    this.#copying = false;
    try {
      this.#copy.get();
    } catch {
      // As SQLite itself has it at the end of a transaction: what cannot be copied stays in the log.
    }
  }
}
