import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { SqlValue } from "./store.ts";

/** A query prepared once; every row is a fresh plain object whose names are those of `Row`. */
export interface Prepared<Row> {
  all(...parameters: SqlValue[]): Row[];
  get(...parameters: SqlValue[]): Row | undefined;
  /** Streams: the caller holds one row at a time. Leaving the loop early ends the read. */
  iterate(...parameters: SqlValue[]): IterableIterator<Row>;
}

export type Prepare = <Row extends object>(sql: string) => Prepared<Row>;

/** `guard` turns what SQLite throws into a StoreFailure; it never returns. */
export function preparer(db: DatabaseSync, guard: (error: unknown) => never): Prepare {
  return <Row extends object>(sql: string): Prepared<Row> => {
    const prepared = attempt(() => db.prepare(sql), guard);
    return {
      all: (...parameters) => attempt(() => prepared.all(...parameters).map((row) => ({ ...row }) as Row), guard),
      get: (...parameters) =>
        attempt(() => {
          const row = prepared.get(...parameters);
          return row === undefined ? undefined : ({ ...row } as Row);
        }, guard),
      // A cursor of its own for each loop: a shared one would be reset by the next call.
      iterate: (...parameters) => iterate<Row>(attempt(() => db.prepare(sql), guard), parameters, guard),
    };
  };
}

function* iterate<Row>(
  prepared: StatementSync,
  parameters: SqlValue[],
  guard: (error: unknown) => never,
): Generator<Row, undefined> {
  const rows = attempt(() => prepared.iterate(...parameters), guard);
  try {
    for (;;) {
      const step = attempt(() => rows.next(), guard);
      if (step.done === true) return undefined;
      yield { ...step.value } as Row;
    }
  } finally {
    rows.return?.();
  }
}

function attempt<T>(work: () => T, guard: (error: unknown) => never): T {
  try {
    return work();
  } catch (error) {
    return guard(error);
  }
}
