/** What was spent on each day: the rows add up to the ledger's totals, whatever ends a call; caps that an operator sets. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import fc from "fast-check";
import { createAudit } from "../../mesh/audit/create.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import type { Caps, Scope } from "../../mesh/ledger/ledger.ts";
import { CapOverrides } from "../../mesh/ledger/overrides.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Write } from "../../mesh/store/store.ts";
import type { OverrideRow } from "../../mesh/store/tables/spending.ts";
import { auditKeys, countingIds, noCaps, SimulatedClock, stateFolder } from "./world.ts";

async function start(t: TestContext, timeZone = "UTC", at = "2026-03-31T12:00:00Z") {
  const clock = new SimulatedClock(at);
  const path = stateFolder(t);
  const keys = auditKeys();
  let run = 0;
  let caps: (scope: Scope) => Caps = () => noCaps;
  const open = async () => {
    const store = await openStore({ path, mode: "inline" });
    t.after(() => store.close());
    const audit = createAudit({ store, clock, ...keys });
    const overrides = new CapOverrides((scope) => caps(scope), store.query.spending.overridesInForce());
    const ledger = await createLedger({
      ...{ store, audit, clock, ids: countingIds(run++), timeZone },
      caps: (scope) => overrides.caps(scope),
    });
    const close = async (): Promise<void> => {
      await audit.close();
      await store.close();
    };
    return { store, ledger, overrides, close };
  };
  return { clock, open, setCaps: (next: (scope: Scope) => Caps) => (caps = next) };
}

const scopes: readonly Scope[] = ["fleet", "team:red", "team:blue", "tenant:acme", "agent:ant"];
const sent = { credential: "openai", price: "list 1" };

test("a call is one row of its day: agent, teams, run, credential, price, each kind of tokens", async (t) => {
  const { open, clock } = await start(t, "Europe/Berlin", "2026-03-28T23:30:00Z");
  const { store, ledger } = await open();
  const hold = ledger.reserve(scopes, { tokens: 900, microUsd: 900 }, "openai/gpt-4o", { ...sent, run: "run_1" });
  assert.ok(hold.ok);
  // It settles on the next day, and counts on the day on which it was reserved.
  clock.jumpTo("2026-03-30T10:00:00Z");
  const usage = { inputTokens: 100, cacheReadTokens: 30, cacheWriteTokens: 20, outputTokens: 40 };
  const { writes } = ledger.settle(hold.value, { ...usage, cost: { tokens: 140, microUsd: 77 } });
  await store.commit([...hold.value.writes, ...writes]);
  assert.deepEqual(store.query.spending.days("all", "0000-01-01", 10), [
    {
      // The day on which the clocks go forward.
      ...{ day: "2026-03-29", startMs: Date.parse("2026-03-28T23:00:00Z"), endMs: Date.parse("2026-03-29T22:00:00Z") },
      ...{ agent: "ant", model: "openai/gpt-4o", run: "run_1", teams: "red,blue", tenant: "acme", ...sent },
      ...{ calls: 1, estimates: 0, inputTokens: 50, cacheReadTokens: 30, cacheWriteTokens: 20, outputTokens: 40 },
      microUsd: 77,
    },
  ]);
  assert.deepEqual(store.query.spending.days("all", "2026-03-30", 10), []);
  assert.equal(store.query.spending.days("credential", "2026-03-29", 10)[0]?.credential, "openai");
  assert.equal(store.query.spending.days("tenant", "2026-03-29", 10)[0]?.tenant, "acme");
});

test("the days add up to the totals, over settlements, estimates, releases, crashes and corrections (property)", async (t) => {
  const step = fc.record({
    end: fc.constantFrom("settle", "estimate", "release", "crash"),
    agent: fc.constantFrom("ant", "bee"),
    cost: fc.nat(1_200),
    hours: fc.nat(40),
    correctTo: fc.option(fc.nat(1_000), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const { open, clock } = await start(t);
      let core = await open();
      for (const { end, agent, cost, hours, correctTo } of steps) {
        const hold = core.ledger.reserve(["fleet", `agent:${agent}`], { tokens: 1_000, microUsd: 1_000 }, "m", sent);
        assert.ok(hold.ok);
        const { id } = hold.value;
        await core.store.commit(hold.value.writes);
        clock.jumpTo(clock.nowMs() + hours * 3_600_000);
        if (end === "crash") {
          await core.close();
          core = await open();
        } else if (end === "release") await core.store.commit(core.ledger.release(hold.value).writes);
        else {
          const usage = { inputTokens: 1, outputTokens: 1, cost: { tokens: 2, microUsd: cost } };
          await core.store.commit(core.ledger.settle(hold.value, usage, { estimate: end === "estimate" }).writes);
        }
        const found = { inputTokens: 5, outputTokens: 5, cost: { tokens: 10, microUsd: correctTo ?? 0 } };
        const corrected = correctTo === undefined ? undefined : core.ledger.correct(id, found);
        if (corrected) await core.store.commit(corrected.writes);
        const days = core.store.query.spending.days("agent", "0000-01-01", 1_000);
        for (const { agent: name, calls, microUsd } of core.ledger.totals()) {
          const mine = days.filter((row) => row.agent === name);
          assert.equal(
            mine.reduce((sum, row) => sum + row.microUsd, 0),
            microUsd,
            "money",
          );
          assert.equal(
            mine.reduce((sum, row) => sum + row.calls, 0),
            calls,
            "calls",
          );
        }
      }
      await core.close();
    }),
    { seed: 20_261_122, numRuns: 25 },
  );
});

const setting = (cap: number | null, unit: OverrideRow["unit"] = "tokens") =>
  ({ scope: "agent:ant", window: "day", unit, cap }) as const;

test("a cap that is set holds at the next reservation and over a restart; null gives that of the fleet file back", async (t) => {
  const { open, setCaps } = await start(t);
  setCaps((scope) => (scope === "agent:ant" ? { day: { tokens: 1_000, usd: 5 }, month: { tokens: 9_000 } } : noCaps));
  const fits = (
    ledger: { reserve: Awaited<ReturnType<typeof open>>["ledger"]["reserve"] },
    tokens: number,
  ): boolean => {
    const hold = ledger.reserve(["fleet", "agent:ant"], { tokens, microUsd: 0 }, "m");
    return hold.ok;
  };
  const first = await open();
  assert.equal(fits(first.ledger, 1_001), false);
  const set = async (core: typeof first, one: Parameters<CapOverrides["row"]>[0]): Promise<void> => {
    await core.store.commit([core.overrides.row(one, 1, "principal:operator")]);
    core.overrides.apply(one);
  };
  await set(first, setting(3_000));
  assert.equal(fits(first.ledger, 2_500), true);
  assert.equal(first.overrides.caps("agent:ant").month.tokens, 9_000, "what was not set stays");
  // Below what is reserved: nothing more, also nothing small; what is open stays held.
  await set(first, setting(100));
  assert.equal(fits(first.ledger, 1), false);
  assert.equal(first.ledger.left(["agent:ant"]).tokens, 0);
  assert.equal(first.ledger.lines(["agent:ant"])[0]?.reserved, 2_500);
  await set(first, setting(7, "requests"));
  await first.close();
  const second = await open();
  assert.deepEqual(second.overrides.caps("agent:ant").day, { tokens: 100, usd: 5, requests: 7 });
  await set(second, setting(null));
  assert.equal(second.overrides.isSet(setting(null)), false);
  await second.close();
  const third = await open();
  assert.deepEqual(third.overrides.caps("agent:ant").day, { tokens: 1_000, usd: 5, requests: 7 });
  assert.equal(third.store.query.spending.overrides(10).length, 4, "all that was ever set is history");
});

test("a cap is a natural number, and the rows of history cannot say anything else", async (t) => {
  const { open } = await start(t);
  const { overrides, store } = await open();
  for (const bad of [-1, 0.5, NaN, Infinity]) assert.throws(() => overrides.apply(setting(bad)));
  const write: Write = ["budget.insertOverride", "fleet", "week", "tokens", 1, 1, "x"];
  await assert.rejects(store.commit([write]));
});
