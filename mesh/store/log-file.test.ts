import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { storeFiles } from "./files.ts";
import { openStore } from "./open.ts";
import type { Store } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-log-"));
after(() => rmSync(root, { recursive: true }));
const log = `${storeFiles.database}-wal`;
const sizeOf = (state: string): number => statSync(join(state, log)).size;

const ROW_BYTES = 64 * 1024;
const write = (store: Store, n: number): Promise<void> =>
  store.commit([["workflow.markEffect", "run", `row${n}`, "x".repeat(ROW_BYTES)]]);

/** Commits one row after the other until `enough`; how many there are. */
async function fill(store: Store, enough: (n: number) => boolean): Promise<number> {
  let n = 0;
  while (!enough(n)) await write(store, n++);
  return n;
}

test("the log of a state in use has its size before it is needed, and a crash finds every row in front of the zeros", async (t) => {
  const state = join(root, "used");
  const dead = join(root, "dead");
  const store = await openStore({ path: state });
  t.after(() => store.close());
  const full = limits.store.checkpointPagesMin * 4_096;
  const rows = await fill(store, (n) => sizeOf(state) > full || n * ROW_BYTES > full / 2);
  assert.ok(sizeOf(state) > full, `${rows} rows of ${ROW_BYTES} bytes made a log of ${sizeOf(state)} bytes`);
  // Who grows it writes the next row after that: until then it may be half done.
  await write(store, rows);
  const size = sizeOf(state);
  await write(store, rows + 1);
  assert.equal(sizeOf(state), size);

  // As a crash leaves it: the database without what is in the log, and the log.
  await (await openStore({ path: dead })).close();
  for (const file of [storeFiles.database, log]) copyFileSync(join(state, file), join(dead, file));
  await store.close();
  const again = await openStore({ path: dead });
  for (let n = 0; n <= rows + 1; n++) assert.equal(again.query.workflow.effect("run", `row${n}`)?.length, ROW_BYTES);
  await write(again, rows + 2);
  assert.equal(again.query.workflow.effect("run", `row${rows + 2}`)?.length, ROW_BYTES);
  await again.close();
});

test("the log of a state that has hardly been used is not grown", async () => {
  const state = join(root, "new");
  const store = await openStore({ path: state });
  await write(store, 0);
  await write(store, 1);
  assert.ok(sizeOf(state) < limits.store.logGrownFromBytes);
  await store.close();
});

test("a log that cannot be opened when it is to be grown ends nothing", () => {
  const database = join(root, "no-descriptor");
  writeFileSync(`${database}-wal`, Buffer.alloc(limits.store.logGrownFromBytes));
  const code = `import { openSync } from "node:fs"; import { LogFile } from ${JSON.stringify(new URL("log-file.ts", import.meta.url).href)};
    const log = new LogFile(process.argv[1]); let full; try { for (;;) openSync("/dev/null"); } catch (e) { full = e.code; }
    log.grow(); process._rawDebug(full);`;
  const node = [process.execPath, "--input-type=module", "--eval", code, database].map((word) => `'${word}'`).join(" ");
  const done = spawnSync("sh", ["-c", `ulimit -n 128; exec ${node}`], { encoding: "utf8" });
  assert.match(done.stderr, /^EMFILE$/m);
  assert.equal(done.status, 0, done.stderr);
});
