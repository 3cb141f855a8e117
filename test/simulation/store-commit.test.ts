/** What both writers, the thread and the inline one, promise. */
import assert from "node:assert/strict";
import test from "node:test";
import { openReadOnly, openStore } from "../../mesh/store/open.ts";
import { StoreFailure, type Write } from "../../mesh/store/store.ts";
import { limits } from "../../protocol/limits.ts";
import { stateFolder } from "./world.ts";

const hash = (n: number): Uint8Array => new Uint8Array(32).fill(n);

for (const mode of ["worker", "inline"] as const) {
  test(`${mode}: commits take effect and are answered in the order of their calls`, async (t) => {
    const store = await openStore({ path: stateFolder(t), mode });
    t.after(() => store.close());
    const answered: number[] = [];
    const commits = Array.from({ length: 300 }, (_, i) =>
      store.commit([["meta.set", "last", String(i)]]).then(() => answered.push(i)),
    );
    await Promise.all(commits);
    assert.deepEqual(
      answered,
      Array.from({ length: 300 }, (_, i) => i),
    );
    assert.equal(store.query.meta.get("last"), "299");
  });

  test(`${mode}: a read sees committed rows only, and all of them once the commit is answered`, async (t) => {
    const path = stateFolder(t);
    const store = await openStore({ path, mode });
    t.after(() => store.close());
    const commit = store.commit([["meta.set", "a", "1"]]);
    assert.equal(store.query.meta.get("a"), undefined);
    await commit;
    assert.equal(store.query.meta.get("a"), "1");
    const other = openReadOnly(path);
    t.after(() => other.close());
    assert.equal(other.query.meta.get("a"), "1");
  });

  test(`${mode}: of many rows by one key in a flush the last one wins, and other keys stay apart`, async (t) => {
    const store = await openStore({ path: stateFolder(t), mode });
    t.after(() => store.close());
    const put = (scope: string, startMs: number, n: number): Write => [
      "ledger.putTotal",
      ...[scope, "day", startMs],
      ...[n, 0, 0, 0, 0, 0, 0, 0],
    ];
    await Promise.all([
      store.commit([put("fleet", 0, 1), put("fleet", 9, 7), ["audit.setHead", 1, hash(1), hash(1)]]),
      store.commit([put("fleet", 0, 2), put("agent:a", 0, 9), ["audit.setHead", 2, hash(2), hash(2)]]),
    ]);
    const rows = store.query.ledger.allCounters().map((row) => [row.scope, row.windowStartMs, row.settled]);
    assert.deepEqual(rows, [
      ["agent:a", 0, 9],
      ["fleet", 0, 2],
      ["fleet", 9, 7],
    ]);
    assert.equal(store.query.audit.extent().headSeq, 2);
  });

  test(`${mode}: after the first failed commit nothing is written any more`, async (t) => {
    const path = stateFolder(t);
    const store = await openStore({ path, mode });
    const good = store.commit([["meta.set", "before", "1"]]);
    await good;
    const twice: Write = ["audit.insert", 1, 1, "a", "mesh", "{}", hash(1)];
    const results = await Promise.allSettled([
      store.commit([["meta.set", "same flush", "1"]]),
      store.commit([["meta.set", "half", "1"], twice, twice]),
      store.commit([["meta.set", "after", "1"]]),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ["rejected", "rejected", "rejected"],
    );
    assert.ok((await store.failed) instanceof StoreFailure);
    await assert.rejects(store.commit([["meta.set", "late", "1"]]), StoreFailure);
    await store.close();
    const again = await openStore({ path, mode });
    t.after(() => again.close());
    assert.deepEqual(
      ["before", "same flush", "half", "after", "late"].map((key) => again.query.meta.get(key)),
      ["1", undefined, undefined, undefined, undefined],
    );
  });

  test(`${mode}: a write that does not fit its statement stops the store before it reaches the disk`, async (t) => {
    const misfits: Write[] = [
      ["meta.set", "a"],
      ["meta.set", "a", "1", "2"],
      ["ledger.putTotal", "fleet", "day", 0, 2 ** 53, 0, 0, 0, 0, 0, 0, 0],
      ["ledger.putTotal", "fleet", "day", 0, 0.5, 0, 0, 0, 0, 0, 0, 0],
      ["no.such" as never, "a"],
    ];
    for (const misfit of misfits) {
      const store = await openStore({ path: stateFolder(t), mode });
      await assert.rejects(store.commit([misfit]), /takes .* parameters|not a safe integer/);
      await assert.rejects(store.commit([["meta.set", "late", "1"]]), StoreFailure);
      await store.close();
    }
  });

  test(`${mode}: close waits for what was handed over, and refuses what comes later`, async (t) => {
    const path = stateFolder(t);
    const store = await openStore({ path, mode });
    const pending = store.commit([["meta.set", "a", "1"]]);
    await store.close();
    await pending;
    await assert.rejects(store.commit([["meta.set", "b", "1"]]), StoreFailure);
    const again = await openStore({ path, mode });
    t.after(() => again.close());
    assert.equal(again.query.meta.get("a"), "1");
  });

  test(`${mode}: bytes are kept as they are, also those of a view into a larger buffer`, async (t) => {
    const store = await openStore({ path: stateFolder(t), mode });
    t.after(() => store.close());
    const pool = new Uint8Array(4096).fill(9);
    pool.set([1, 2, 3], 100);
    const view = pool.subarray(100, 103);
    await store.commit([["credentials.insert", "default", "key", 1, view, hash(5), 1, "", null]]);
    assert.deepEqual([...(store.query.credentials.newest("default", "key")?.wrappedKey ?? [])], [1, 2, 3]);
    await store.commit([["credentials.revoke", "default", "key", 1]]);
    assert.equal(store.query.credentials.newest("default", "key")?.sealedValue.length, 0);
  });
}

test("worker: a transaction of several messages is whole, or nothing of it is there", async (t) => {
  const path = stateFolder(t);
  const store = await openStore({ path });
  const long = "x".repeat(limits.store.messageCharsMax);
  const parts = (name: string): Write[] => ["1", "2", "3"].map((part) => ["meta.set", name + part, long]);
  await store.commit(parts("good"));
  const twice: Write = ["audit.insert", 1, 1, "a", "mesh", "{}", hash(1)];
  await assert.rejects(store.commit([...parts("bad"), twice, twice]), StoreFailure);
  await store.close();
  const again = await openStore({ path });
  t.after(() => again.close());
  const lengths = ["good1", "good2", "good3", "bad1", "bad2", "bad3"].map((key) => again.query.meta.get(key)?.length);
  assert.deepEqual(lengths, [long.length, long.length, long.length, undefined, undefined, undefined]);
});
