import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { classify, storeFailure } from "./failure.ts";
import { createPrivateFile } from "./files.ts";

/**
 * Sole ownership of a state folder: an exclusive transaction that is held open on a file of its own.
 * The system drops the lock when the process dies, however it dies, so there is no stale lock to remove.
 */
export function takeLock(folder: string): { release(): void } {
  const file = join(folder, "lock.sqlite");
  let db: DatabaseSync | undefined;
  try {
    createPrivateFile(file);
    db = new DatabaseSync(file, { timeout: 0 });
    db.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    db?.close();
    const failure = classify(error, folder);
    throw failure.kind === "locked" ? storeFailure("locked", folder, "another mesh runs on it", error) : failure;
  }
  const held = db;
  return {
    release: () => {
      if (held.isOpen) held.close();
    },
  };
}
