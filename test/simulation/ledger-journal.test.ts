/** The journal of the ledger: what it says is what the tables say once it is folded into them, and what memory says. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test, { type TestContext } from "node:test";
import fc from "fast-check";
import type { Caps, Hold, Scope } from "../../mesh/ledger/ledger.ts";
import { openReadOnly, openStore } from "../../mesh/store/open.ts";
import type { Queries } from "../../mesh/store/queries.ts";
import { auditKeys, openCore, SimulatedClock, stateFolder, type World } from "./world.ts";

const HOUR_MS = 3_600_000;
const budget: Caps = {
  ...{ day: { tokens: 1_000_000 }, month: { usd: 1_000_000 } },
  rolling: [{ spanMs: 6 * HOUR_MS, cap: { requests: 1_000 } }],
  destinations: { "a.b": { day: { bytes: 1_000_000 }, month: {} } },
};

/** All that can be read of the ledger. */
const allOf = ({ ledger, spending }: Queries): object => ({
  counters: ledger.allCounters(),
  windows: ledger.windows(),
  newest: ledger.windows().map((window) => ledger.newestWindowStartMs(window)),
  totals: ledger.windows().flatMap((window) => ledger.totals(window, 0, Number.MAX_SAFE_INTEGER)),
  holds: ledger.holds(),
  usage: ledger.usage(),
  days: spending.days("all", "0000-01-01", 1_000),
});

function seen(path: string): object {
  const store = openReadOnly(path);
  try {
    return allOf(store.query);
  } finally {
    store.close();
  }
}

function rowsOf(path: string, table: string): number {
  const db = new DatabaseSync(join(path, "cordon.sqlite"), { readOnly: true });
  try {
    return Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]);
  } finally {
    db.close();
  }
}

function start(t: TestContext, journalOpsMax: number): World & { readonly clock: SimulatedClock } {
  const clock = new SimulatedClock("2026-05-10T10:00:00Z");
  return { path: stateFolder(t), clock, keys: auditKeys(), caps: () => budget, journalOpsMax };
}

const step = fc.record({
  agent: fc.constantFrom<Scope>("agent:a", "agent:b"),
  model: fc.constantFrom("m", 'quoted "model"', "ümlaut\\"),
  act: fc.constantFrom("settle", "estimate", "release", "unsent", "leave", "spend", "correct"),
  tokens: fc.nat(900),
  hours: fc.nat(9),
});

test("what readers see does not change when the journal is folded into the tables, at any age of them (property)", async (t) => {
  const ages = fc.constantFrom(1, 2, 7, 1_000);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), ages, async (steps, opsMax) => {
      const world = start(t, opsMax);
      const { store, ledger } = await openCore(world);
      ledger.openScope("run:r", { tokens: 1_000_000 });
      const estimates: string[] = [];
      for (const { agent, model, act, tokens, hours } of steps) {
        world.clock.pass(hours * HOUR_MS);
        const scopes: readonly Scope[] = ["fleet", agent, "run:r"];
        if (act === "spend") {
          const spent = ledger.spend(scopes, { requests: 1, bytes: tokens, destination: "a.b" });
          assert.ok(spent.ok);
          await store.commit(spent.value);
          continue;
        }
        const sent = { bytes: tokens, destination: "a.b", credential: "k", price: "p", run: "r" };
        const held = ledger.reserve(scopes, { tokens: 900, microUsd: 90 }, model, sent);
        assert.ok(held.ok);
        const hold = held.value;
        await store.commit(hold.writes);
        const usage = { inputTokens: tokens, outputTokens: 1, cost: { tokens, microUsd: tokens % 91 } };
        if (act === "settle") await store.commit(ledger.settle(hold, usage).writes);
        if (act === "release" || act === "unsent")
          await store.commit(ledger.release(hold, { unsent: act === "unsent" }).writes);
        if (act === "estimate" || act === "correct") {
          await store.commit(ledger.settle(hold, usage, { estimate: true }).writes);
          estimates.push(hold.id);
        }
        if (act === "correct") {
          const found = { ...usage, cost: { tokens: 1, microUsd: 1 } };
          await store.commit(ledger.correct(estimates.shift() ?? "", found)?.writes ?? []);
        }
      }
      const before = seen(world.path);
      const lines = ledger.lines(["fleet", "agent:a"]);
      await store.close();
      assert.deepEqual(seen(world.path), before, "when nobody runs");
      const folded = await openStore({ path: world.path, mode: "inline" });
      assert.deepEqual(allOf(folded.query), before, "folded");
      await folded.close();
      assert.equal(rowsOf(world.path, "ledger_journal"), 0);
      const again = await openCore({ ...world, run: 1 });
      const settled = again.ledger.lines(["fleet", "agent:a"]).map((line) => line.settled);
      const worst = lines.map((line) => line.settled + line.reserved);
      assert.deepEqual(settled, worst, "memory goes on from there, with what was open settled at its worst");
      await again.store.close();
    }),
    { seed: 20_261_123, numRuns: 25 },
  );
});

const idsOf = (holds: readonly Hold[]): string[] => holds.map(({ id }) => id);

/** Of a ledger whose journal is emptied after `opsMax` operations: what its tables hold, and holds in a row. */
async function small(t: TestContext, opsMax: number) {
  const world = start(t, opsMax);
  const { store, ledger } = await openCore(world);
  t.after(() => store.close());
  const rows = (): number[] =>
    ["ledger_journal", "budget_hold", "budget_total"].map((name) => rowsOf(world.path, name));
  const reserve = async (): Promise<Hold> => {
    const held = ledger.reserve(["fleet"], { tokens: 1, microUsd: 1 }, "m");
    assert.ok(held.ok);
    await store.commit(held.value.writes);
    return held.value;
  };
  const release = (hold?: Hold): Promise<void> => store.commit(hold ? ledger.release(hold).writes : []);
  const open = (): string[] => store.query.ledger.holds().map(({ id }) => id);
  const reserved = (): number | undefined => store.query.ledger.allCounters()[0]?.reserved;
  return { path: world.path, rows, reserve, release, open, reserved };
}

test("an operation waits in the journal, and leaves it when the tables are written; what is open is said once more", async (t) => {
  const { rows, reserve, release, open, reserved } = await small(t, 4);
  const held: Hold[] = [];
  for (let n = 0; n < 3; n++) held.push(await reserve());
  assert.deepEqual(rows(), [3, 0, 0]);
  held.push(await reserve());
  assert.deepEqual(rows(), [1, 0, 3], "day, month and rolling window; four holds in one row of the journal");
  for (const hold of held.slice(0, 3)) await release(hold);
  assert.deepEqual(open(), idsOf(held.slice(3)));
  await release(held[3]);
  assert.deepEqual(rows(), [0, 0, 3], "none of them has ever been a row");
  assert.equal(reserved() ?? 0, 0);
});

test("holds that stay open become rows a few at a time, and leave one by one", async (t) => {
  const { path, rows, reserve, release, open, reserved } = await small(t, 16);
  const held: Hold[] = [];
  for (let n = 0; n < 16; n++) held.push(await reserve());
  assert.deepEqual(rows().slice(0, 2), [1, 0]);
  const rowsAfter: number[] = [];
  for (let n = 0; n < 15; n++) {
    held.push(await reserve());
    rowsAfter.push(rowsOf(path, "budget_hold"));
    assert.deepEqual([...open()].toSorted(), idsOf(held).toSorted(), "each is told once, wherever it stands");
    assert.equal(reserved(), held.length);
  }
  assert.deepEqual(rowsAfter, [0, 0, 0, 0, 0, 0, 0, 2, 4, 6, 8, 10, 12, 14, 16]);
  await release(held.shift());
  assert.deepEqual(rows().slice(0, 2), [1, 15], "the journal is emptied, and begins with those that have no row yet");
  await release(held.shift());
  assert.deepEqual(rows().slice(0, 2), [2, 14], "a row goes with the end of its hold");
  assert.deepEqual([...open()].toSorted(), idsOf(held).toSorted());
});

test("what is open, said twice or in its row, is charged once after a crash at any point", async (t) => {
  for (const crashAfter of [1, 8, 9, 13, 22, 34]) {
    const world = start(t, 8);
    const { store, ledger } = await openCore(world);
    const open = new Set<Hold>();
    for (let n = 0; n < crashAfter; n++) {
      const held = ledger.reserve(["fleet"], { tokens: 3, microUsd: 5 }, "m");
      assert.ok(held.ok);
      await store.commit(held.value.writes);
      open.add(held.value);
      const [first] = open;
      if (n % 3 !== 2 || first === undefined) continue;
      open.delete(first);
      await store.commit(ledger.release(first).writes);
    }
    // Without a word to the ledger: its holds stay open.
    await store.close();
    const again = await openCore({ ...world, run: 1 });
    assert.deepEqual(
      again.ledger.recovered.map(({ id }) => id).toSorted(),
      idsOf([...open]).toSorted(),
      `after ${crashAfter} holds`,
    );
    const [day] = again.ledger.lines(["fleet"]);
    assert.deepEqual([day?.settled, day?.reserved], [3 * open.size, 0]);
    await again.store.close();
  }
});

test("a run that has ended is not forgotten as long as what it spent stands in the journal alone", async (t) => {
  const { store, ledger } = await openCore(start(t, 1_000));
  t.after(() => store.close());
  ledger.openScope("run:r", { tokens: 10 });
  const held = ledger.reserve(["run:r"], { tokens: 8, microUsd: 0 }, "m");
  assert.ok(held.ok);
  const usage = { inputTokens: 4, outputTokens: 4, cost: { tokens: 8, microUsd: 0 } };
  await store.commit([...held.value.writes, ...ledger.settle(held.value, usage).writes]);
  ledger.closeScope("run:r");
  for (let n = 0; n < 3_000; n++) ledger.closeScope(`run:other${n}`);
  ledger.openScope("run:r", { tokens: 10 });
  assert.equal(ledger.left(["run:r"]).tokens, 2);
});
