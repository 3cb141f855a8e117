import { StoreFailure } from "./store.ts";

type Kind = StoreFailure["kind"];

/** Primary result codes of SQLite (https://sqlite.org/rescode.html): the low byte of `errcode`. */
const SQLITE_KINDS: Readonly<Record<number, Kind>> = {
  3: "read_only", // SQLITE_PERM
  5: "locked", // SQLITE_BUSY
  6: "locked", // SQLITE_LOCKED
  8: "read_only", // SQLITE_READONLY
  10: "io", // SQLITE_IOERR
  11: "corrupt", // SQLITE_CORRUPT
  13: "disk_full", // SQLITE_FULL
  26: "corrupt", // SQLITE_NOTADB
};
const SYSTEM_KINDS: Readonly<Record<string, Kind>> = {
  EACCES: "read_only",
  EPERM: "read_only",
  EROFS: "read_only",
  ENOSPC: "disk_full",
  EDQUOT: "disk_full",
};

const REMEDIES: Readonly<Record<Kind, string>> = {
  locked: "stop that mesh with `cordon down` or close what else uses it, or name another folder with `--state`",
  disk_full: "free some space on that disk, then start again; nothing that was acknowledged is lost",
  read_only: "make the folder and its files writable for this user",
  corrupt: "put back a backup of the folder, or move the folder away to start with an empty state",
  newer_version: "use the version of cordon that wrote it, or a newer one",
  io: "check the disk (`dmesg`), then start again; nothing that was acknowledged is lost",
};
const FAULTS: Readonly<Record<Kind, string>> = {
  locked: "is in use",
  disk_full: "has no space left",
  read_only: "cannot be written",
  corrupt: "is damaged or not a state of cordon",
  newer_version: "was written by a newer version",
  io: "cannot be read or written",
};

/** A failure in words that name the fix; `detail` says what was met, without data of a row. */
export function storeFailure(kind: Kind, folder: string, detail: string, cause?: unknown): StoreFailure {
  const message = `state in \`${folder}\` ${FAULTS[kind]}: ${detail}: ${REMEDIES[kind]}`;
  return new StoreFailure(kind, message, cause === undefined ? {} : { cause });
}

/** Classifies what SQLite or the file system threw. What is not understood is `io`: the store stops in any case. */
export function classify(error: unknown, folder: string): StoreFailure {
  if (error instanceof StoreFailure) return error;
  const { errcode, code, message } = error as { errcode?: unknown; code?: unknown; message?: unknown };
  const kind =
    (typeof errcode === "number" ? SQLITE_KINDS[errcode & 0xff] : undefined) ??
    (typeof code === "string" ? SYSTEM_KINDS[code] : undefined) ??
    "io";
  return storeFailure(kind, folder, typeof message === "string" ? message : "unknown error", error);
}
