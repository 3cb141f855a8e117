import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { openReader, openWriter } from "./connection.ts";
import { storeFiles } from "./files.ts";
import { Log } from "./log.ts";
import { LogCopy } from "./log-copy.ts";
import { openStore } from "./open.ts";
import type { Store } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-log-copy-"));
after(() => rmSync(root, { recursive: true }));

const ROW_BYTES = 64 * 1024;
const FULL_BYTES = limits.store.checkpointPagesMin * 4_096;
/** Of so many rows the log is full, and not yet so full that a transaction copies it. */
const FULL_ROWS = Math.ceil(FULL_BYTES / ROW_BYTES);
const write = (store: Store, n: number): Promise<void> =>
  store.commit([["workflow.markEffect", "run", `row${n}`, "x".repeat(ROW_BYTES)]]);

async function assertWhole(state: string, rows: Iterable<number>): Promise<void> {
  const store = await openStore({ path: state });
  for (const n of rows) assert.equal(store.query.workflow.effect("run", `row${n}`)?.length, ROW_BYTES, `row ${n}`);
  await store.close();
}

test("a full log is copied back without any transaction, each time, and is whole when the store closes meanwhile", async (t) => {
  const state = join(root, "busy");
  const store = await openStore({ path: state });
  t.after(() => store.close());
  let rows = 0;
  const fill = async (): Promise<void> => {
    for (let n = 0; n < FULL_ROWS; n++) await write(store, rows++);
  };
  for (const round of [1, 2]) {
    await fill();
    for (let n = 0; statSync(join(state, storeFiles.database)).size < (round - 0.5) * FULL_BYTES; n++) {
      assert.ok(n < 2_000, `copied in round ${round}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  await fill();
  await store.close();
  await assertWhole(state, Array(rows).keys());
});

test("who is killed while the log is copied finds every row that was acknowledged", async () => {
  const state = join(root, "killed");
  const code = `import { openStore } from ${JSON.stringify(new URL("open.ts", import.meta.url).href)};
    const store = await openStore({ path: process.argv[1] });
    for (let n = Number(process.argv[2]); ; n++) {
      await store.commit([["workflow.markEffect", "run", "row" + n, "x".repeat(${ROW_BYTES})]]);
      process.stdout.write(n + "\\n");
    }`;
  const acknowledged: number[] = [];
  for (const more of [2, 20]) {
    // Of the one before the row that was on its way may be there as well.
    const first = (acknowledged.at(-1) ?? 0) + 2;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", code, state, String(first)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const gone = new Promise((resolve) => child.once("exit", resolve));
    const enough = acknowledged.length + FULL_ROWS + more;
    for await (const line of createInterface({ input: child.stdout }))
      if (acknowledged.push(Number(line)) >= enough) child.kill("SIGKILL");
    await gone;
    assert.ok(acknowledged.length >= enough);
    await assertWhole(state, acknowledged);
  }
});

/** One copy after the other, by the thread alone. */
async function copied(state: string, times: number): Promise<void> {
  let ended = (): void => {};
  const copy = new LogCopy(state, () => ended());
  for (let n = 0; n < times; n++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    ended = resolve;
    copy.begin();
    await promise;
  }
  await copy.close();
}

test("the thread copies all that is committed", async () => {
  const state = join(root, "alone");
  mkdirSync(state);
  const db = openWriter(state);
  db.exec("CREATE TABLE t (n); INSERT INTO t VALUES (1)");
  await copied(state, 1);
  const { log, checkpointed } = db.prepare("PRAGMA wal_checkpoint(NOOP)").get() ?? {};
  db.close();
  assert.ok(Number(log) > 0);
  assert.equal(checkpointed, log);
});

test("of a log that somebody reads not every transaction asks for a copy, and of one that nobody reads the next when it is full", () => {
  const state = join(root, "read");
  mkdirSync(state);
  const db = openWriter(state);
  const log = new Log(db, join(state, storeFiles.database));
  const reader = openReader(state);
  db.exec("CREATE TABLE t (x)");
  const insert = db.prepare("INSERT INTO t VALUES (zeroblob(?))");
  reader.exec("BEGIN; SELECT count(*) FROM sqlite_schema");
  const timesAsked = (): number => {
    let times = 0;
    for (let n = 0; n < FULL_ROWS + 8; n++) {
      insert.run(ROW_BYTES);
      if (!log.look()) continue;
      times++;
      log.finish();
    }
    return times;
  };
  assert.equal(timesAsked(), 1);
  reader.close();
  log.finish();
  assert.equal(timesAsked(), 1, "begun anew, it is full again");
  db.close();
});

test("a copy that cannot be made has ended, and so has the next", () => copied(join(root, "none"), 2));
