/** A state whose board lies in the tables of before: all that was there is there, and everybody goes on where he stood. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Blackboard } from "../../mesh/blackboard/blackboard.ts";
import { applicationId, migrations } from "../../mesh/store/migrations.ts";
import { openStore } from "../../mesh/store/open.ts";
import { boardLog } from "../../mesh/store/tables/board.ts";
import { unlabelled } from "../../protocol/label.ts";
import { SimulatedClock, stateFolder } from "./world.ts";

const label = JSON.stringify(unlabelled);

test("a board of before the log keeps its versions, its deletions, its changes and the cursors of its watches", async (t) => {
  const path = stateFolder(t);
  const before = migrations.indexOf(boardLog);
  assert.ok(before > 0);
  const old = new DatabaseSync(join(path, "cordon.sqlite"));
  for (const step of migrations.slice(0, before)) old.exec(step);
  old.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${before}`);
  const version = (key: string, n: number, deleted = 0, keeps = true): void => {
    if (keeps)
      old
        .prepare("INSERT INTO board_version VALUES ('default', ?, ?, ?, ?, 'a', 's', 5, NULL, ?)")
        .run(key, n, deleted ? "" : `${key}@${n}`, label, deleted);
    old.prepare("INSERT INTO board_change (tenant, key, version) VALUES ('default', ?, ?)").run(key, n);
    old
      .prepare(
        "INSERT INTO board_current VALUES ('default', ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version",
      )
      .run(key, n);
  };
  // The first version of `b` has left its history already.
  version("a", 1);
  version("b", 1, 0, false);
  version("b", 2);
  version("a", 2);
  version("c", 1);
  version("c", 2, 1);
  version("b", 3);
  old.exec("INSERT INTO board_watch VALUES ('default', 'agent:w', '**', 3)");
  old.close();

  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const store = await openStore({ path, mode: "inline" });
  try {
    const board = new Blackboard(store, clock);
    assert.deepEqual(
      board.list("**", () => true).map(({ key, version: n, value }) => [key, n, value]),
      [
        ["a", 2, "a@2"],
        ["b", 3, "b@3"],
      ],
    );
    assert.equal(board.read("a", 1)?.value, "a@1");
    assert.equal(board.read("b", 1), undefined);
    assert.deepEqual(
      board.history("b", undefined)?.map(({ version: n }) => n),
      [3, 2],
    );
    const resumed = board.watches.resume({ watcher: "agent:w", match: "**" }, undefined);
    assert.ok(resumed.ok && resumed.value.place.seq === 3 && resumed.value.place.passed === 3);
    const seen = await board.watches.changes(
      { reader: "r", match: "**", from: 0, waitMs: 0 },
      () => true,
      AbortSignal.abort(),
    );
    assert.deepEqual(
      seen.changes.map(({ seq, key, version: n, deleted, writer }) => [seq, key, n, deleted, writer]),
      [
        [1, "a", 1, false, "a"],
        [2, "b", 1, false, null],
        [3, "b", 2, false, "a"],
        [4, "a", 2, false, "a"],
        [5, "c", 1, false, "a"],
        [6, "c", 2, true, "a"],
        [7, "b", 3, false, "a"],
      ],
    );
    // What is written now goes on from there: a key that stood, one that was deleted, a new one.
    for (const [key, next] of [
      ["b", 4],
      ["c", 3],
      ["d", 1],
    ] as const) {
      const made = board.prepare({
        ...{ key, value: "new", ifVersion: undefined, ttlSeconds: undefined, writer: "a", session: "s" },
        label: unlabelled,
      });
      assert.ok(made.ok);
      assert.equal(made.value.version, next);
      await store.commit(made.value.writes);
      made.value.done();
    }
    assert.equal(store.query.watches.head(), 10);
    // Values that were never sealed are readable up to a change, and none is from there on.
    const cipher = { seal: (value: string) => `sealed ${value}`, open: (value: string) => value.slice(7) };
    const sealed = new Blackboard(store, clock, { cipher, plainUpTo: 7 });
    assert.deepEqual(
      sealed.list("**", () => true).map(({ value }) => value),
      ["a@2", "", "", ""],
    );
    assert.equal(sealed.read("b", 3)?.value, "b@3");
    assert.deepEqual(
      board.history("b", undefined)?.map(({ version: n }) => n),
      [4, 3, 2],
    );
  } finally {
    await store.close();
  }
});
