import { systemClock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { preparer } from "./database.ts";
import type { FaultPoint } from "./batch.ts";
import { openReader } from "./connection.ts";
import { classify } from "./failure.ts";
import { createPrivateFolder } from "./files.ts";
import { GroupCommit } from "./group-commit.ts";
import { inlineWriter } from "./inline.ts";
import { takeLock } from "./lock.ts";
import { createQueries, type Queries } from "./queries.ts";
import type { Store } from "./store.ts";
import { startWriter } from "./thread.ts";

export interface StoreOptions {
  /** The state folder; made with mode 0700 when it is missing. */
  readonly path: string;
  /** `worker` (default): writes on a thread of their own. `inline`: on this thread, for simulations. */
  readonly mode?: "worker" | "inline";
  /** Inline only: called at every point of every transaction; what it throws happens there. */
  readonly faults?: (point: FaultPoint) => void;
}

/** Opens the state for this process alone. Rejects with a StoreFailure that names the fix. */
export async function openStore({ path, mode = "worker", faults = () => {} }: StoreOptions): Promise<Store> {
  try {
    createPrivateFolder(path);
  } catch (error) {
    throw classify(error, path);
  }
  const lock = takeLock(path);
  let group: GroupCommit | undefined;
  let reader: ReturnType<typeof openReader> | undefined;
  const closeReader = (): void => {
    if (reader?.isOpen) reader.close();
  };
  const letGo = (): void => {
    closeReader();
    lock.release();
  };
  try {
    const worker = mode === "worker";
    const executor = worker ? await startWriter(path) : inlineWriter(path, faults, letGo);
    // A simulation's time does not pass by itself.
    group = new GroupCommit(path, executor, worker ? { laterMs: limits.store.commitLaterMs, clock: systemClock } : {});
    reader = openReader(path);
    return join(group, queriesOn(reader, path, group), closeReader, letGo);
  } catch (error) {
    await group?.close();
    letGo();
    throw error;
  }
}

function join(group: GroupCommit, query: Queries, closeReader: () => void, letGo: () => void): Store {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // The writer must be the last to leave: only then does SQLite fold the log into the database.
    closeReader();
    await group.close();
    letGo();
  };
  return {
    commit: (writes) => group.commit(writes),
    commitLater: (writes) => group.commitLater(writes),
    sealWith: (rows) => group.sealWith(rows),
    query,
    failed: group.failed,
    close: () => (closing ??= close()),
  };
}

/** A read that fails stops the store, too: what memory was built from can no longer be trusted. */
function queriesOn(reader: ReturnType<typeof openReader>, path: string, group?: GroupCommit): Queries {
  const guard = (error: unknown): never => {
    const failure = classify(error, path);
    group?.fail(failure);
    throw failure;
  };
  return createQueries(preparer(reader, guard));
}

/** Reads a state without owning it, also while a mesh runs on it: for `audit verify` and `costs`. Throws StoreFailure. */
export function openReadOnly(path: string): { readonly query: Queries; close(): void } {
  const reader = openReader(path);
  return { query: queriesOn(reader, path), close: () => reader.close() };
}
