import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { InvariantError } from "../../lib/assert.ts";
import type { Amount, Caps, Hold, Scope, Usage } from "../../mesh/ledger/ledger.ts";
import { auditKeys, noCaps, openCore, SimulatedClock, stateFolder, type World } from "./world.ts";

const both: readonly Scope[] = ["fleet", "agent:intern"];
const amount = (tokens: number, microUsd = 0): Amount => ({ tokens, microUsd });
const used = (tokens: number, microUsd = 0): Usage => ({
  inputTokens: tokens,
  outputTokens: 0,
  cost: { tokens, microUsd },
});
const capped =
  (day: Caps["day"], month: Caps["month"] = {}) =>
  (scope: Scope): Caps =>
    scope === "fleet" ? noCaps : { day, month };

async function start(t: TestContext, caps: World["caps"], parts: Partial<World> = {}) {
  const clock = new SimulatedClock("2026-03-31T12:00:00Z");
  const world = { path: stateFolder(t), clock, keys: auditKeys(), caps, ...parts };
  const core = await openCore(world);
  t.after(() => core.store.close());
  return { ...core, clock: world.clock, world };
}

function reserved(result: { ok: boolean; value?: Hold }): Hold {
  assert.ok(result.ok && result.value, "expected a reservation");
  return result.value;
}

test("200 concurrent reservations against a cap worth 3: three pass, 197 are refused with what is left", async (t) => {
  const { ledger, audit, store } = await start(t, capped({ tokens: 3_500 }), { mode: "worker" });
  const results = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const result = ledger.reserve(both, amount(1_000, 5), "m");
      if (result.ok)
        await audit.record({ kind: "call.reserved", subject: "agent:intern", detail: {} }, result.value.writes);
      return result;
    }),
  );
  const refused = results.filter((result) => !result.ok).map((result) => result.error);
  assert.equal(refused.length, 197);
  assert.deepEqual(refused[0], {
    scope: "agent:intern",
    window: "day",
    unit: "tokens",
    cap: 3_500,
    settled: 0,
    left: 500,
    wanted: 1_000,
    resetsAtMs: Date.parse("2026-04-01T00:00:00Z"),
  });
  const row = store.query.ledger
    .allCounters()
    .find((c) => c.scope === "agent:intern" && c.window === "day" && c.unit === "tokens");
  assert.deepEqual([row?.settled, row?.reserved], [0, 3_000]);
  await audit.close();
});

test("all scopes or none: a refusal by the second scope leaves nothing in the first", async (t) => {
  const { ledger } = await start(t, capped({ tokens: 10 }));
  assert.equal(ledger.reserve(both, amount(11), "m").ok, false);
  assert.deepEqual(
    ledger.lines(["fleet"]).map((line) => line.reserved),
    [0, 0, 0, 0],
  );
});

test("every cap holds by itself: day and month, tokens and money", async (t) => {
  const cases: [Caps, Amount, string][] = [
    [{ day: { tokens: 9 }, month: {} }, amount(10, 10), "day tokens"],
    [{ day: { usd: 9 }, month: {} }, amount(10, 10), "day usd"],
    [{ day: {}, month: { tokens: 9 } }, amount(10, 10), "month tokens"],
    [{ day: {}, month: { usd: 9 } }, amount(10, 10), "month usd"],
  ];
  let caps: Caps = noCaps;
  const { ledger } = await start(t, () => caps);
  for (const [set, want, name] of cases) {
    caps = set;
    const result = ledger.reserve(["agent:a"], want, "m");
    assert.equal(!result.ok && `${result.error.window} ${result.error.unit}`, name);
    assert.equal(ledger.reserve(["agent:a"], amount(0), "m").ok, true);
  }
});

test("left is the smallest over the scopes, and Infinity without a cap", async (t) => {
  const caps = (scope: Scope): Caps =>
    scope === "fleet" ? { day: { tokens: 50 }, month: {} } : { day: { tokens: 100 }, month: { tokens: 40 } };
  const { ledger } = await start(t, caps);
  assert.deepEqual(ledger.left(both), { tokens: 40, microUsd: Infinity });
  reserved(ledger.reserve(both, amount(15), "m"));
  assert.deepEqual(ledger.left(both), { tokens: 25, microUsd: Infinity });
});

test("a cost above the hold is clamped, and told", async (t) => {
  const { ledger } = await start(t, capped({ tokens: 100 }));
  const hold = reserved(ledger.reserve(both, amount(100, 10), "m"));
  assert.deepEqual(ledger.settle(hold, used(150, 10)).above, { tokens: 50, microUsd: 0 });
  assert.deepEqual(ledger.left(both), { tokens: 0, microUsd: Infinity });
  assert.equal(ledger.totals()[0]?.microUsd, 10);
});

test("a hold ends once: a second settle or release changes nothing", async (t) => {
  const { ledger } = await start(t, capped({ tokens: 100 }));
  const hold = reserved(ledger.reserve(both, amount(60), "m"));
  ledger.settle(hold, used(50));
  assert.deepEqual(ledger.settle(hold, used(50)), { writes: [], above: amount(0) });
  assert.deepEqual(ledger.release(hold), { writes: [] });
  assert.deepEqual(ledger.release({ ...hold }), { writes: [] });
  const open = reserved(ledger.reserve(both, amount(10), "m"));
  assert.deepEqual(ledger.release({ ...open }), { writes: [] }, "a copy of a hold is none");
  const other = await start(t, capped({ tokens: 100 }));
  assert.deepEqual(other.ledger.release(open), { writes: [] }, "it is of another ledger");
  assert.equal(ledger.left(both).tokens, 40);
  ledger.release(open);
  assert.equal(ledger.left(both).tokens, 50);
});

test("a cap below what is used leaves what is there, and refuses what is new, also what is free", async (t) => {
  let caps: Caps = { day: { tokens: 100 }, month: {} };
  const { ledger } = await start(t, () => caps);
  const hold = reserved(ledger.reserve(["agent:a"], amount(80), "m"));
  caps = { day: { tokens: 10 }, month: {} };
  const refused = ledger.reserve(["agent:a"], amount(0), "m");
  assert.equal(!refused.ok && refused.error.left, 0);
  ledger.settle(hold, used(80));
  assert.equal(ledger.lines(["agent:a"])[0]?.settled, 80);
});

test("numbers that are not natural numbers are a broken invariant, and change nothing", async (t) => {
  const { ledger } = await start(t, capped({ tokens: 100 }));
  const hold = reserved(ledger.reserve(both, amount(50), "m"));
  for (const bad of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => ledger.reserve(both, amount(bad), "m"), InvariantError);
    assert.throws(() => ledger.reserve(both, amount(1, bad), "m"), InvariantError);
    assert.throws(() => ledger.settle(hold, used(bad)), InvariantError);
  }
  assert.throws(() => ledger.reserve([], amount(1), "m"), InvariantError);
  assert.throws(() => ledger.reserve(["fleet", "fleet"], amount(1), "m"), InvariantError);
  assert.equal(ledger.left(both).tokens, 50);
});

test("without a cap the sum is still refused before it leaves the safe integers", async (t) => {
  const { ledger } = await start(t, () => noCaps);
  reserved(ledger.reserve(["fleet"], amount(Number.MAX_SAFE_INTEGER - 1), "m"));
  const refused = ledger.reserve(["fleet"], amount(2), "m");
  assert.equal(!refused.ok && refused.error.left, 1);
});

test("midnight and the end of a month open new windows; what was reserved before settles where it was reserved", async (t) => {
  const clock = new SimulatedClock("2026-03-30T23:59:59.999Z");
  const { ledger, store } = await start(t, capped({ tokens: 100 }, { tokens: 150 }), { clock });
  const before = reserved(ledger.reserve(both, amount(100), "m"));
  assert.equal(ledger.reserve(both, amount(1), "m").ok, false);
  await store.commit(before.writes);
  clock.jumpTo("2026-03-31T00:00:00Z");
  const monthIsFull = ledger.reserve(both, amount(51), "m");
  assert.equal(!monthIsFull.ok && monthIsFull.error.window, "month");
  reserved(ledger.reserve(both, amount(50), "m"));
  await store.commit(ledger.settle(before, used(70)).writes);
  const march30 = store.query.ledger.totals("day", Date.parse("2026-03-30T00:00:00Z"));
  assert.deepEqual(march30.find((row) => row.scope === "fleet")?.settledTokens, 70);
  assert.equal(ledger.lines(["agent:intern"])[0]?.settled, 0, "today's day was not charged for yesterday");
  clock.jumpTo("2026-04-01T00:00:00Z");
  assert.equal(ledger.left(both).tokens, 100);
});

test("a day of 25 hours is one window", async (t) => {
  const clock = new SimulatedClock("2026-10-24T22:00:00Z");
  const { ledger } = await start(t, capped({ tokens: 10 }), { clock, timeZone: "Europe/Berlin" });
  reserved(ledger.reserve(both, amount(10), "m"));
  clock.jumpTo("2026-10-25T22:59:59.999Z");
  assert.equal(ledger.left(both).tokens, 0);
  clock.jumpTo("2026-10-25T23:00:00Z");
  assert.equal(ledger.left(both).tokens, 10);
});

test("a clock that jumps back frees nothing, in this run and after a restart", async (t) => {
  const core = await start(t, capped({ tokens: 100 }));
  await core.store.commit(reserved(core.ledger.reserve(both, amount(100), "m")).writes);
  core.clock.jumpTo("2026-03-28T12:00:00Z");
  assert.equal(core.ledger.left(both).tokens, 0);
  await core.audit.close();
  await core.store.close();
  const again = await openCore({ ...core.world, run: 1 });
  t.after(() => again.store.close());
  for (const at of ["2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", "2026-03-31T23:59:59Z"]) {
    core.clock.jumpTo(at);
    const refused = again.ledger.reserve(both, amount(1), "m");
    assert.equal(!refused.ok && refused.error.resetsAtMs, Date.parse("2026-04-01T00:00:00Z"), at);
  }
});

test("a zone in which the open day began earlier does not empty that day", async (t) => {
  const core = await start(t, capped({ tokens: 100 }), { timeZone: "America/New_York" });
  await core.store.commit(reserved(core.ledger.reserve(both, amount(100), "m")).writes);
  await core.audit.close();
  await core.store.close();
  const again = await openCore({ ...core.world, run: 1, timeZone: "UTC" });
  t.after(() => again.store.close());
  assert.equal(again.ledger.left(both).tokens, 0);
});

test("an agent that is deleted and made again under the same name has spent what it has spent", async (t) => {
  const { ledger, store } = await start(t, capped({ tokens: 100 }));
  await store.commit([["agents.insert", "ag_1", "default", "intern", 1]]);
  await store.commit(ledger.settle(reserved(ledger.reserve(both, amount(100), "m")), used(100)).writes);
  await store.commit([["agents.remove", 2, "ag_1"]]);
  await store.commit([["agents.insert", "ag_2", "default", "intern", 3]]);
  assert.equal(store.query.agents.byName("default", "intern")?.id, "ag_2");
  assert.equal(ledger.reserve(both, amount(1), "m").ok, false);
  assert.equal(ledger.totals()[0]?.calls, 1);
});

test("a hold that a crash left open is settled at its worst case, once, with a record", async (t) => {
  const core = await start(t, capped({ tokens: 100 }));
  await core.store.commit(reserved(core.ledger.reserve(both, amount(60, 7), "m")).writes);
  await core.store.close();
  for (const [run, recovered] of [
    [1, 1],
    [2, 0],
  ] as const) {
    const again = await openCore({ ...core.world, run });
    assert.equal(again.ledger.recovered.length, recovered);
    assert.equal(again.ledger.left(both).tokens, 40);
    assert.equal(again.store.query.audit.last()?.kind, "ledger.recovered");
    assert.deepEqual(again.ledger.totals(), [
      { agent: "intern", model: "m", calls: 1, inputTokens: 0, outputTokens: 0, microUsd: 7 },
    ]);
    await again.store.close();
  }
});
