import { accessSync, closeSync, constants, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";

/** Files of the store, inside the state folder. SQLite keeps `-wal` and `-shm` files beside the database. */
export const storeFiles = { database: "cordon.sqlite", lock: "lock.sqlite" } as const;

export const createPrivateFolder = (folder: string): void => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // SQLite would only say that it cannot open a file.
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
};

/**
 * Makes an empty file that only its owner may read (SQLite would use the umask), and its name durable.
 * A file that stands is not opened: closing any descriptor of a file drops every POSIX lock on it.
 */
export function createPrivateFile(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw error;
  }
  const folder = openSync(dirname(file), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
