import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { limits } from "../../protocol/limits.ts";
import { classify, storeFailure } from "./failure.ts";
import { createPrivateFile, storeFiles } from "./files.ts";
import { applicationId, migrations } from "./migrations.ts";
import { StoreFailure } from "./store.ts";
import { foldJournal } from "./tables/ledger-journal.ts";

/** Opens for writing: makes the database if there is none, checks it, and brings it to this version. Throws StoreFailure. */
export function openWriter(folder: string): DatabaseSync {
  const file = join(folder, storeFiles.database);
  return opening(folder, () => {
    createPrivateFile(file);
    const db = new DatabaseSync(file, { timeout: limits.store.busyTimeoutMs });
    return checked(db, () => {
      const version = identify(db, folder);
      if (version > 0) checkPages(db, folder, file);
      // Every commit is on the disk before it is acknowledged; a crash of the system loses nothing, either.
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      db.exec("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; PRAGMA secure_delete = FAST");
      db.exec(`PRAGMA journal_size_limit = ${limits.store.walBytesMax}`);
      // Pages that are changed again before they are copied back are copied once.
      db.exec(`PRAGMA wal_autocheckpoint = ${limits.store.checkpointPagesMin}`);
      keepPages(db);
      migrate(db, version);
    });
  });
}

/** Opens another connection that copies the log back, on a database that a writer has open. Throws what SQLite throws. */
export function openCopier(folder: string): DatabaseSync {
  const db = new DatabaseSync(join(folder, storeFiles.database), { timeout: 0 });
  // The log is on the disk before a page of the database is replaced, and the database before the log is begun anew.
  db.exec("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON");
  return db;
}

/** Opens a second connection for reads, on a database that a writer has opened or left. Throws StoreFailure. */
export function openReader(folder: string): DatabaseSync {
  const file = join(folder, storeFiles.database);
  return opening(folder, () => {
    if (!existsSync(file))
      throw new StoreFailure("io", `there is no state in \`${folder}\` yet: start the mesh once with \`cordon up\``);
    const db = new DatabaseSync(file, { readOnly: true, timeout: limits.store.busyTimeoutMs });
    return checked(db, () => {
      keepPages(db);
      if (identify(db, folder) < migrations.length) {
        throw new StoreFailure(
          "io",
          `state in \`${folder}\` is of an older version: start the mesh once with \`cordon up\``,
        );
      }
    });
  });
}

function opening(folder: string, open: () => DatabaseSync): DatabaseSync {
  try {
    return open();
  } catch (error) {
    throw classify(error, folder);
  }
}

/** Nothing half-open is left behind. */
function checked(db: DatabaseSync, check: () => void): DatabaseSync {
  try {
    check();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Number in the first column of the first row of a pragma or a query. */
function number(db: DatabaseSync, sql: string): number {
  return Number(Object.values(db.prepare(sql).get() ?? {})[0]);
}

/** In memory: with SQLite's own 2 MB, keys at random in a large state are read from the file again and again. */
function keepPages(db: DatabaseSync): void {
  db.exec(`PRAGMA cache_size = -${limits.store.cacheBytesMax / 1024}`);
}

/** The version of the tables; 0 is an empty file. */
function identify(db: DatabaseSync, folder: string): number {
  const version = number(db, "PRAGMA user_version");
  const application = number(db, "PRAGMA application_id");
  const empty = number(db, "SELECT count(*) FROM sqlite_schema") === 0;
  if (empty && version === 0 && application === 0) return 0;
  if (application !== applicationId || empty) {
    throw storeFailure("corrupt", folder, `\`${storeFiles.database}\` is the database of another program`);
  }
  if (version > migrations.length) {
    throw storeFailure("newer_version", folder, `version ${version}, this cordon knows up to ${migrations.length}`);
  }
  return version;
}

const LOGS = ["topic_message", "hook_delivery"];
/** Tables that grow without end; the audit has a chain of its own, and SQLite finds a bad page when it reads it. */
const GROWING: readonly string[] = [
  "audit",
  "audit_segment",
  "board_log",
  "message",
  "reply",
  "workflow_event",
  ...LOGS,
];

/** Every page of a small database; of a large one the tables that the mesh loads when it starts. */
function checkPages(db: DatabaseSync, folder: string, file: string): void {
  const small = statSync(file).size <= limits.store.fullCheckBytesMax;
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all();
  const names = tables.map((row) => String(row["name"])).filter((name) => !GROWING.includes(name));
  for (const check of small ? ["PRAGMA quick_check(1)"] : names.map((name) => `PRAGMA quick_check('${name}')`)) {
    const fault = Object.values(db.prepare(check).get() ?? {})[0];
    if (fault !== "ok") throw storeFailure("corrupt", folder, String(fault));
  }
}

function migrate(db: DatabaseSync, version: number): void {
  // Also when there is nothing to change: SQLite opens what it may only read without a word, a write tells.
  db.exec("BEGIN IMMEDIATE");
  for (const step of migrations.slice(version)) db.exec(step);
  db.exec(foldJournal);
  db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${migrations.length}`);
  db.exec("COMMIT");
}
