import type { Queries } from "./queries.ts";
import type { statements } from "./statements.ts";

export type SqlValue = null | number | bigint | string | Uint8Array;

/** One prepared statement with its parameters: plain data, so that it can cross to the writer thread. */
export type Row = readonly [statement: keyof typeof statements, ...parameters: SqlValue[]];

/**
 * A row that is asked for when its transaction goes out, once however many of the commits name it: what changes with
 * every call is written as it is then. Its value may only change in the tick of a commit that names it.
 */
export interface LateRow {
  lateRow(): Row;
}

/** The same, of any number of rows. Bytes in them are taken in the tick in which they are asked for, as those of a seal are. */
export interface LateRows {
  lateRows(): readonly Row[];
}

export type Write = Row | LateRow | LateRows;

/**
 * The only owner of SQL. One writer; writes that wait at the same moment share one fsync (group commit).
 *
 * Fail-stop: after the first failed commit every later `commit` rejects with StoreFailure and the mesh
 * must end, because memory may then be ahead of the disk. What was acknowledged is on disk.
 */
export interface Store {
  /**
   * Resolves when all of `writes` are on disk, together; calls take effect in the order in which they were made. Many
   * that share a transaction share the promise.
   */
  commit(writes: readonly Write[]): Promise<void>;
  /** On disk with the next transaction, `commitLaterMs` from now at the latest; what fails is told by `failed`. */
  commitLater(writes: readonly Write[]): void;
  /** `rows` is asked once for each transaction, and what it gives is part of it: the seal over all that it holds. */
  sealWith(rows: () => readonly Row[]): void;
  /** Committed rows only. */
  readonly query: Queries;
  /** Resolves with the failure, if one ever happens. */
  readonly failed: Promise<StoreFailure>;
  close(): Promise<void>;
}

/** `kind` names what a person can do about it. */
export class StoreFailure extends Error {
  override readonly name = "StoreFailure";
  readonly kind: "locked" | "disk_full" | "read_only" | "corrupt" | "newer_version" | "io";
  constructor(kind: StoreFailure["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
