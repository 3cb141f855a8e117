import type { DatabaseSync, StatementSync } from "node:sqlite";
import { limits } from "../../protocol/limits.ts";
import { LogFile } from "./log-file.ts";

/** The write-ahead log as its only writer sees it, between two transactions. */
export class Log {
  readonly #file: LogFile;
  readonly #pages: StatementSync;
  readonly #copy: StatementSync;
  #copying = false;

  constructor(db: DatabaseSync, database: string) {
    this.#file = new LogFile(database);
    this.#pages = db.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#copy = db.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    // `LogCopy` copies. Should it not come, a transaction does.
    db.exec(`PRAGMA wal_autocheckpoint = ${2 * limits.store.checkpointPagesMin}`);
  }

  /** After a transaction: whether the log is to be copied back from now on. */
  look(): boolean {
    this.#file.grow();
    if (this.#copying || Number(this.#pages.get()?.["log"]) < limits.store.checkpointPagesMin) return false;
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
