import type { DatabaseSync } from "node:sqlite";
import type { SqlValue } from "./store.ts";

/** A query prepared once; every row is a fresh plain object whose names are those of `Row`. */
export interface Prepared<Row> {
  all(...parameters: SqlValue[]): Row[];
  get(...parameters: SqlValue[]): Row | undefined;
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
    };
  };
}

function attempt<T>(work: () => T, guard: (error: unknown) => never): T {
  try {
    return work();
  } catch (error) {
    return guard(error);
  }
}
