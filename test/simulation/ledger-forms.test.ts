/** The forms of the ledger's journal: a state of before them is brought over, and none is ever missed without a word. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import type { Hold, Scope } from "../../mesh/ledger/ledger.ts";
import { StoreFailure } from "../../mesh/store/store.ts";
import { applicationId, migrations } from "../../mesh/store/migrations.ts";
import { openStore } from "../../mesh/store/open.ts";
import { ledgerCarried, ledgerForms } from "../../mesh/store/tables/ledger-journal.ts";
import { auditKeys, noCaps, openCore, SimulatedClock, stateFolder, type World } from "./world.ts";

const places = '[["fleet","day",0],["agent:a","day",0]]';
const day = '0,"a","m","","","","k","p","1970-01-01",86400000';

test("a journal of before forms is in the tables after the start, what is open among it", async (t) => {
  const path = stateFolder(t);
  const before = migrations.indexOf(ledgerForms);
  assert.ok(before > 0);
  const old = new DatabaseSync(join(path, "cordon.sqlite"));
  for (const step of migrations.slice(0, before)) old.exec(step);
  old.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${before}`);
  const hold = (id: string): string =>
    `[1,"${id}",0,9,0,90,0,1,0,7,${places},[["fleet","agent:a"],9,90,1,7,"m",5,"k","p",""],null]`;
  const end = `[0,"h1",4,-9,40,-90,1,-1,7,-7,${places},null,[[${day},1,0,3,0,0,1,40],["fleet","agent:a"],3,1]]`;
  const add = old.prepare("INSERT INTO ledger_journal (ops) VALUES (?)");
  add.run(`[${hold("h1")},${hold("h2")}]`);
  add.run(`[${end},[2,"",0,0,0,0,1,0,5,0,${places},null,null]]`);
  old.close();

  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  const fleet = store.query.ledger.totals("day", 0).find(({ scope }) => scope === "fleet");
  assert.deepEqual(fleet, {
    ...{ scope: "fleet", window: "day", startMs: 0, settledTokens: 4, reservedTokens: 9, settledMicroUsd: 40 },
    ...{ reservedMicroUsd: 90, settledRequests: 2, reservedRequests: 1, settledBytes: 12, reservedBytes: 7 },
  });
  assert.deepEqual(
    store.query.ledger.holds().map(({ id, worstTokens, model, credential }) => [id, worstTokens, model, credential]),
    [["h2", 9, "m", "k"]],
  );
  assert.deepEqual(
    store.query.ledger.usage().map(({ scope, calls, microUsd }) => [scope, calls, microUsd]),
    [
      ["agent:a", 1, 40],
      ["fleet", 1, 40],
    ],
  );
  assert.equal(store.query.spending.days("all", "0000-01-01", 10)[0]?.microUsd, 40);
});

test("holds of before they stood in the order of time, as rows and in a journal with forms, are there after the start", async (t) => {
  const path = stateFolder(t);
  const before = migrations.indexOf(ledgerCarried);
  assert.ok(before > migrations.indexOf(ledgerForms));
  const old = new DatabaseSync(join(path, "cordon.sqlite"));
  for (const step of migrations.slice(0, before)) old.exec(step);
  old.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${before}`);
  old.exec(`INSERT INTO budget_total VALUES ('fleet', 'day', 0, 0, 18, 0, 180, 0, 2, 0, 14), ('agent:a', 'day', 0, 0, 18, 0, 180, 0, 2, 0, 14);
    INSERT INTO ledger_form VALUES (1, '${places}', '["fleet","agent:a"]', 'm', 'k', 'p', '', '[${day}]', '["fleet","agent:a"]')`);
  const hold = old.prepare(`INSERT INTO budget_hold
    (id, scopes, windows, worst_tokens, worst_micro_usd, requests, bytes, model, at_ms, credential, price, run)
    VALUES (?, '["fleet","agent:a"]', '${places}', 9, 90, 1, 7, 'm', ?, 'k', 'p', '')`);
  hold.run("h1", 7);
  hold.run("h2", 6);
  old
    .prepare("INSERT INTO ledger_journal (ops) VALUES (?)")
    .run(`[[1,"h3",1,0,9,0,90,0,1,0,7,8],[0,"h1",1,4,-9,40,-90,1,-1,7,-7,1,0,3,0,0,1,40,3,1]]`);
  old.close();

  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  const open = { scopes: '["fleet","agent:a"]', windows: places, worstTokens: 9, worstMicroUsd: 90, requests: 1 };
  const more = { bytes: 7, model: "m", credential: "k", price: "p", run: "" };
  assert.deepEqual(store.query.ledger.holds(), [
    { id: "h2", ...open, ...more, atMs: 6 },
    { id: "h3", ...open, ...more, atMs: 8 },
  ]);
  const fleet = store.query.ledger.totals("day", 0).find(({ scope }) => scope === "fleet");
  assert.deepEqual([fleet?.settledTokens, fleet?.reservedTokens, fleet?.reservedRequests], [4, 18, 2]);
});

function world(t: TestContext): World {
  const clock = new SimulatedClock("2026-05-10T10:00:00Z");
  return { path: stateFolder(t), clock, keys: auditKeys(), caps: () => noCaps, journalOpsMax: 1_000 };
}

const scopes: readonly Scope[] = Object.freeze<Scope[]>(["fleet", "agent:a"]);
const usage = { inputTokens: 1, outputTokens: 1, cost: { tokens: 2, microUsd: 3 } };
const about = { destination: "a.b", credential: "k", price: "p" };

function formsIn(path: string): number {
  const db = new DatabaseSync(join(path, "cordon.sqlite"), { readOnly: true });
  try {
    return Number(db.prepare("SELECT count(*) AS n FROM ledger_form").get()?.["n"]);
  } finally {
    db.close();
  }
}

test("what calls have in common is written once for many, and again when the journal was emptied", async (t) => {
  const { path, ...rest } = world(t);
  const { store, ledger } = await openCore({ ...rest, path, journalOpsMax: 8 });
  t.after(() => store.close());
  const call = async (of: readonly Scope[], model: string): Promise<Hold> => {
    const held = ledger.reserve(of, { tokens: 9, microUsd: 90 }, model, about);
    assert.ok(held.ok);
    await store.commit(held.value.writes);
    return held.value;
  };
  const holds = [await call(scopes, "m"), await call(scopes, "m"), await call([...scopes], "m")];
  assert.equal(formsIn(path), 1);
  holds.push(await call(scopes, "other"));
  assert.equal(formsIn(path), 2);
  for (const hold of holds) await store.commit(ledger.settle(hold, usage).writes);
  assert.equal(formsIn(path), 0, "the tables are written, and the journal is empty");
  const last = await call(scopes, "m");
  assert.equal(formsIn(path), 1);
  assert.deepEqual(
    store.query.ledger.holds().map(({ id, model }) => [id, model]),
    [[last.id, "m"]],
  );
});

test("a state whose journal misses a form does not open: what it says would be lost", async (t) => {
  const { path, ...rest } = world(t);
  const { store, ledger } = await openCore({ ...rest, path });
  const held = ledger.reserve(scopes, { tokens: 9, microUsd: 90 }, "m", about);
  assert.ok(held.ok);
  await store.commit(held.value.writes);
  await store.close();
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  db.exec("DELETE FROM ledger_form");
  db.close();
  await assert.rejects(openStore({ path, mode: "inline" }), StoreFailure);
});

test("a run that was forgotten and comes back counts where it is then, not where its form was made", async (t) => {
  const { store, ledger } = await openCore({ ...world(t), journalOpsMax: 1 });
  t.after(() => store.close());
  const spend = async (tokens: number): Promise<void> => {
    const held = ledger.reserve(["run:r"], { tokens, microUsd: 0 }, "m");
    assert.ok(held.ok);
    await store.commit(held.value.writes);
    const cost = { tokens, microUsd: 0 };
    await store.commit(ledger.settle(held.value, { inputTokens: tokens, outputTokens: 0, cost }).writes);
  };
  ledger.openScope("run:r", { tokens: 10 });
  await spend(7);
  ledger.closeScope("run:r");
  for (let n = 0; n < 3_000; n++) ledger.closeScope(`run:other${n}`);
  ledger.openScope("run:r", { tokens: 10 });
  assert.equal(ledger.left(["run:r"]).tokens, 3);
  await spend(2);
  assert.equal(ledger.left(["run:r"]).tokens, 1);
});
