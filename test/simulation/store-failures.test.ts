/** What a person can do wrong, and what a disk can do: each is told apart, and names its fix. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import test, { type TestContext } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { openReadOnly, openStore } from "../../mesh/store/open.ts";
import { StoreFailure, type Store } from "../../mesh/store/store.ts";
import { stateFolder } from "./world.ts";

const database = (path: string): string => join(path, "cordon.sqlite");

async function assertRefused(path: string, kind: StoreFailure["kind"], fix: RegExp): Promise<void> {
  for (const mode of ["worker", "inline"] as const) {
    const opening = openStore({ path, mode });
    await assert.rejects(opening, (error) => {
      assert.ok(error instanceof StoreFailure);
      assert.equal(error.kind, kind, error.message);
      assert.match(error.message, fix);
      assert.ok(error.message.includes(path));
      return true;
    });
  }
}

async function filled(t: TestContext, rows = 500): Promise<string> {
  const path = stateFolder(t);
  const store = await openStore({ path, mode: "inline" });
  const text = "x".repeat(500);
  await Promise.all(Array.from({ length: rows }, (_, i) => store.commit([["meta.set", `key ${i}`, text]])));
  await store.close();
  return path;
}

test("a state that another process owns is `locked`; the lock goes when that process is killed", async (t) => {
  const path = stateFolder(t);
  const script = fileURLToPath(new URL("./owner-process.ts", import.meta.url));
  const owner = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => owner.kill("SIGKILL"));
  await new Promise((resolve, reject) => {
    owner.stdout.once("data", resolve);
    owner.once("exit", () => reject(new Error("the owner ended before it had opened the state")));
  });
  await assertRefused(path, "locked", /cordon down/);
  const ended = new Promise((resolve) => owner.once("exit", resolve));
  owner.kill("SIGKILL");
  await ended;
  await (await openStore({ path })).close();
});

test("a state that this process owns already is `locked`, and stays owned", async (t) => {
  const path = stateFolder(t);
  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  await assertRefused(path, "locked", /another mesh/);
  await assertRefused(path, "locked", /another mesh/);
  await store.commit([["meta.set", "still", "mine"]]);
});

test("a state of a newer version is `newer_version`, and is not touched", async (t) => {
  const path = await filled(t, 1);
  const db = new DatabaseSync(database(path));
  db.exec("PRAGMA user_version = 99");
  db.close();
  const before = readFileSync(database(path));
  await assertRefused(path, "newer_version", /use the version of cordon/);
  assert.deepEqual(readFileSync(database(path)), before);
  assert.throws(() => openReadOnly(path), /newer version/);
});

test("the database of another program is `corrupt`, and is not touched", async (t) => {
  const path = stateFolder(t);
  const db = new DatabaseSync(database(path));
  db.exec("CREATE TABLE theirs (a)");
  db.close();
  const before = readFileSync(database(path));
  await assertRefused(path, "corrupt", /another program.*backup/);
  assert.deepEqual(readFileSync(database(path)), before);
});

test("a damaged file is `corrupt`: no header, a page overwritten, a file cut short", async (t) => {
  const noHeader = stateFolder(t);
  writeFileSync(database(noHeader), "this is not a database, and long enough to look at".repeat(100));
  await assertRefused(noHeader, "corrupt", /backup/);

  const damaged = await filled(t);
  const file = openSync(database(damaged), "r+");
  const { size } = statSync(database(damaged));
  for (let page = Math.floor(size / 4096 / 2); page < size / 4096 - 1; page += 3) {
    writeSync(file, Buffer.alloc(512, 0xa5), 0, 512, page * 4096);
  }
  closeSync(file);
  await assertRefused(damaged, "corrupt", /backup/);

  const short = await filled(t);
  truncateSync(database(short), Math.floor(statSync(database(short)).size / 4096 / 2) * 4096);
  await assertRefused(short, "corrupt", /backup/);
});

test("reading without a state says that there is none", (t) => {
  const path = stateFolder(t);
  assert.throws(() => openReadOnly(path), /no state in .* yet.*cordon up/);
});

test("the state is for its owner alone", async (t) => {
  const path = join(stateFolder(t), "state");
  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  await store.commit([["meta.set", "a", "1"]]);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  for (const file of ["cordon.sqlite", "cordon.sqlite-wal", "cordon.sqlite-shm", "lock.sqlite"]) {
    assert.equal(statSync(join(path, file)).mode & 0o077, 0, file);
  }
});

/** A small file system of its own; undefined where the test may not mount one. */
function mounted(t: TestContext, size: string): { readonly path: string; remount(options: string): void } | undefined {
  const path = mkdtempSync(join(tmpdir(), "cordon-disk-"));
  const mount = (...args: string[]): boolean => spawnSync("mount", args).status === 0;
  const may = mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path);
  t.after(() => {
    if (may) spawnSync("umount", ["-l", path]);
    rmdirSync(path);
  });
  return may ? { path, remount: (options) => assert.ok(mount("-o", `remount,${options}`, path)) } : undefined;
}

async function writeUntilFailure(
  store: Store,
): Promise<{ readonly failure: StoreFailure; readonly acknowledged: number }> {
  const text = "x".repeat(20_000);
  for (let acknowledged = 0; acknowledged < 1_000; acknowledged++) {
    try {
      await store.commit([["meta.set", `key ${acknowledged}`, text]]);
    } catch (error) {
      assert.ok(error instanceof StoreFailure);
      return { failure: error, acknowledged };
    }
  }
  assert.fail("the disk was never full");
}

test("a full disk is `disk_full`; everything acknowledged is there when there is room again", async (t) => {
  const disk = mounted(t, "2m");
  if (!disk) return t.skip("may not mount a file system here");
  const store = await openStore({ path: disk.path });
  const { failure, acknowledged } = await writeUntilFailure(store);
  assert.equal(failure.kind, "disk_full");
  assert.match(failure.message, /free some space/);
  assert.ok(acknowledged > 10);
  await assert.rejects(store.commit([["meta.set", "late", "1"]]), { kind: "disk_full" });
  assert.equal((await store.failed).kind, "disk_full");
  await store.close();
  disk.remount("size=8m");
  const again = await openStore({ path: disk.path });
  assert.ok(again.query.meta.get(`key ${acknowledged - 1}`));
  assert.equal(again.query.meta.get("late"), undefined);
  await again.close();
});

test("a disk that is full in the middle of a crowd's commits: nobody is told of a row that is not there", async (t) => {
  // As it is begun; as the log is grown; when the log has been copied back.
  for (const size of ["2m", "5m", "20m"]) {
    const disk = mounted(t, size);
    if (!disk) return t.skip("may not mount a file system here");
    const store = await openStore({ path: disk.path });
    const text = "x".repeat(800);
    const there: string[] = [];
    const write = async (who: number): Promise<void> => {
      for (let turn = 0; turn < 1_000; turn++) {
        const key = `${who}.${turn}`;
        await store.commit([
          ["meta.set", key, `${text}${key}`],
          ["meta.set", `twin ${key}`, key],
        ]);
        there.push(key);
      }
    };
    const crowd = 2 * limits.store.crowdCommitsMin;
    const ends = await Promise.allSettled(Array.from({ length: crowd }, (_, who) => write(who)));
    for (const end of ends) assert.ok(end.status === "rejected" && end.reason instanceof StoreFailure, size);
    assert.equal((await store.failed).kind, "disk_full");
    await store.close();
    disk.remount("size=64m");
    const again = await openStore({ path: disk.path });
    for (const key of there) {
      assert.equal(again.query.meta.get(key), `${text}${key}`);
      assert.equal(again.query.meta.get(`twin ${key}`), key);
    }
    assert.ok(there.length >= crowd, size);
    await again.close();
  }
});

test("a disk that may not be written is `read_only`", async (t) => {
  const disk = mounted(t, "2m");
  if (!disk) return t.skip("may not mount a file system here");
  await (await openStore({ path: disk.path })).close();
  disk.remount("ro");
  await assertRefused(disk.path, "read_only", /writable/);
});

test("a store that is closed is no failure, and takes nothing more", async (t) => {
  for (const mode of ["worker", "inline"] as const) {
    const store = await openStore({ path: stateFolder(t), mode });
    let alarmed = false;
    void store.failed.then(() => (alarmed = true));
    await store.commit([["meta.set", "key", "value"]]);
    await store.close();
    await assert.rejects(store.commit([["meta.set", "key", "later"]]), /is closed/);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(alarmed, false, mode);
  }
});
