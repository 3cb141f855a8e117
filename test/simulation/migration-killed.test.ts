/**
 * States of every version that there was, brought to this one by a process that is killed, or meets a fault, at some statement:
 * what SQLite asks permission for is where. The next start ends with the same state as one that nothing came in between of.
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { test } from "node:test";
import { openWriter } from "../../mesh/store/connection.ts";
import { applicationId, migrations } from "../../mesh/store/migrations.ts";
import { StoreFailure } from "../../mesh/store/store.ts";

/** A disk would sync each of many small states. */
const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const FILE = "cordon.sqlite";
/** Of each version. */
const POINTS = Number(process.env["CORDON_MIGRATION_POINTS"] ?? 2);
const ROWS = 40;

/** Makes a state of version `version` with rows in all its tables that take some of this kind. */
function oldState(path: string, version: number): void {
  const db = new DatabaseSync(join(path, FILE));
  for (const step of migrations.slice(0, version)) db.exec(step);
  if (version > 0) db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}`);
  for (const table of tablesOf(db)) {
    // What it says would have to fit other tables.
    if (table === "ledger_journal") continue;
    const columns = db.prepare(`PRAGMA table_info('${table}')`).all();
    const insert = `INSERT OR IGNORE INTO "${table}" VALUES (${columns.map(() => "?").join(",")})`;
    const put = db.prepare(insert);
    for (let row = 1; row <= ROWS; row++)
      put.run(...columns.map(({ name, type }) => valueOf(String(name), String(type), row)));
  }
  db.close();
}

const JSON_TEXT = `[${"7,".repeat(200)}7]`;

function valueOf(name: string, type: string, row: number): string | number | Uint8Array {
  if (type === "BLOB") return new Uint8Array(32).fill(row);
  if (type === "TEXT")
    return /tenant|kind|status|window|state/.test(name)
      ? "day"
      : /id|key|name|scope|volume|agent|day/.test(name)
        ? `t${row}`
        : JSON_TEXT;
  return /deleted|done|is_|has_/.test(name) ? 0 : row;
}

const tablesOf = (db: DatabaseSync): string[] =>
  db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    .all()
    .map(({ name }) => String(name));

/** All that is in a state, after it was opened as a mesh does. */
function contentAfterStart(path: string): Record<string, unknown> {
  const db = openWriter(path);
  try {
    const schema = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all();
    const rows = (table: string): Record<string, SQLOutputValue>[] =>
      db
        .prepare(`SELECT * FROM "${table}"`)
        .all()
        .toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
    const versions = [db.prepare("PRAGMA user_version").get(), db.prepare("PRAGMA application_id").get()];
    return { schema, versions, ...Object.fromEntries(tablesOf(db).map((table) => [table, rows(table)])) };
  } finally {
    db.close();
  }
}
const text = (row: object): string => JSON.stringify(Object.values(row).map(String));

function copied(from: string, to: string): string {
  mkdirSync(to);
  for (const end of ["", "-wal"])
    if (existsSync(join(from, FILE + end))) copyFileSync(join(from, FILE + end), join(to, FILE + end));
  return to;
}

const exec: (this: DatabaseSync, sql: string) => void = Reflect.get(DatabaseSync.prototype, "exec");

/** Opens the state; `at` is called wherever SQLite asks within the transaction, and before its end. */
function openWith(path: string, at: () => number): void {
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    exec.call(this, sql);
    if (sql !== "BEGIN IMMEDIATE") return;
    // As in a state too large for memory: much of what changes is in the log before it is committed.
    exec.call(this, "PRAGMA cache_size = 2; PRAGMA cache_spill = 2");
    this.setAuthorizer(at);
  };
  try {
    openWriter(path).close();
  } finally {
    DatabaseSync.prototype.exec = exec;
  }
}

test("a state of any version is whole after a start that was killed or failed at any statement, and one that was not", (t) => {
  let spilled = 0;
  for (let version = 0; version <= migrations.length; version++) {
    const folder = mkdtempSync(join(MEMORY, "cordon-migration-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const at = (name: string): string => join(folder, name);
    mkdirSync(at("old"));
    oldState(at("old"), version);
    const expected = contentAfterStart(copied(at("old"), at("whole")));
    let actions = 0;
    openWith(copied(at("old"), at("counted")), () => (actions++, constants.SQLITE_OK));
    assert.ok(actions > 10);
    for (let point = 0; point < Math.min(POINTS, actions); point++) {
      const here = Math.floor(((point + 1) * actions) / POINTS) - 1;
      const [killed, failed] = [at(`killed-${point}`), copied(at("old"), at(`failed-${point}`))];
      let action = 0;
      const end = (): number => {
        if (action++ !== here) return constants.SQLITE_OK;
        copied(failed, killed);
        return constants.SQLITE_DENY;
      };
      assert.throws(() => openWith(failed, end), StoreFailure);
      spilled += Number(statSync(join(killed, `${FILE}-wal`), { throwIfNoEntry: false })?.size ?? 0);
      for (const path of [killed, failed])
        assert.deepEqual(contentAfterStart(path), expected, `version ${version}, ${here}`);
    }
  }
  assert.ok(spilled > 0, "some were killed with a part of it on the disk");
});
