import type { DatabaseSync, StatementSync } from "node:sqlite";
import { statements, type StatementName } from "./statements.ts";
import type { Row } from "./store.ts";

/** A point at which a simulation may fail or end the process; `write` counts from 0 within the batch. */
export type FaultPoint =
  | { readonly at: "begin" | "commit" | "acknowledge" }
  | { readonly at: "write"; readonly write: number; readonly statement: StatementName };

/** Runs batches of writes on one connection, each as one transaction. Throws what SQLite throws, rolled back. */
export function createBatchRunner(
  db: DatabaseSync,
  reach: (point: FaultPoint) => void = () => {},
): (writes: readonly Row[]) => void {
  const prepared = new Map<StatementName, StatementSync>();
  for (const name of Object.keys(statements) as StatementName[]) prepared.set(name, db.prepare(statements[name]));
  // Prepared as well: to read such a statement anew costs as much as to write a row.
  const [begin, commit] = [db.prepare("BEGIN IMMEDIATE"), db.prepare("COMMIT")];
  return (writes) => {
    reach({ at: "begin" });
    begin.run();
    try {
      writes.forEach(([name, ...parameters], write) => {
        reach({ at: "write", write, statement: name });
        prepared.get(name)?.run(...parameters);
      });
      reach({ at: "commit" });
      commit.run();
    } catch (error) {
      // SQLite itself rolls back after some errors (a full disk among them): then there is nothing left to do.
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
    reach({ at: "acknowledge" });
  };
}
