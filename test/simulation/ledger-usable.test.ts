/**
 * How much of a budget can really be spent. Before each call its worst case is held, and the input is bounded by its
 * bytes, so the last part of a cap pays no call any more: how large is that part for a working day of ordinary calls?
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { createAudit } from "../../mesh/audit/create.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import type { Hold, Scope } from "../../mesh/ledger/ledger.ts";
import { outputTokensPayable } from "../../mesh/ledger/payable.ts";
import { costOf, worstCase } from "../../mesh/ledger/price.ts";
import { createPrices } from "../../mesh/ledger/prices.ts";
import { openStore } from "../../mesh/store/open.ts";
import { auditKeys, countingIds, noCaps, SimulatedClock, stateFolder } from "./world.ts";

/** English prose holds so many bytes a token. */
const BYTES_PER_TOKEN = 3.6;
const scopes: readonly Scope[] = ["fleet", "agent:ant"];

interface Habit {
  readonly model: readonly [provider: string, model: string];
  readonly capMicroUsd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Calls that are open at the same time. */
  readonly parallel: number;
}

/** The share of the cap that is spent when nothing fits any more. */
async function usable(t: TestContext, habit: Habit): Promise<number> {
  const clock = new SimulatedClock("2026-11-22T12:00:00Z");
  const store = await openStore({ path: stateFolder(t), mode: "inline" });
  t.after(() => store.close());
  const audit = createAudit({ store, clock, ...auditKeys() });
  const caps = (scope: Scope) => (scope === "fleet" ? noCaps : { day: { usd: habit.capMicroUsd }, month: {} });
  const ledger = await createLedger({ store, audit, clock, ids: countingIds(), timeZone: "UTC", caps });
  const price = createPrices({ clock }).priceOf(...habit.model);
  assert.ok(price);
  const bytes = Math.ceil(habit.inputTokens * BYTES_PER_TOKEN);
  const open: { readonly held: Hold; readonly allowed: number }[] = [];
  for (;;) {
    const payable = outputTokensPayable(price, ledger.left(scopes), bytes, 1);
    const allowed = Math.min(1_024, Math.max(payable, 16));
    const hold = ledger.reserve(scopes, worstCase(price, bytes, allowed, 1), "m");
    if (hold.ok) open.push({ held: hold.value, allowed });
    else if (open.length === 0) break;
    if (hold.ok && open.length < habit.parallel) continue;
    const first = open.shift();
    assert.ok(first);
    const used = { inputTokens: habit.inputTokens, outputTokens: Math.min(habit.outputTokens, first.allowed) };
    const cost = costOf(price, { ...used, cacheReadTokens: 0, cacheWriteTokens: 0 });
    ledger.settle(first.held, { ...used, cost });
  }
  const line = ledger.lines(["agent:ant"]).find(({ window, unit }) => window === "day" && unit === "usd");
  assert.ok(line && line.settled <= habit.capMicroUsd && line.reserved === 0);
  return line.settled / habit.capMicroUsd;
}

const habits: Readonly<Record<string, Habit>> = {
  "an agent with large prompts": {
    ...{ model: ["anthropic", "claude-sonnet-4-5"], capMicroUsd: 5_000_000 },
    ...{ inputTokens: 4_000, outputTokens: 400, parallel: 1 },
  },
  "four calls at once": {
    ...{ model: ["anthropic", "claude-sonnet-4-5"], capMicroUsd: 5_000_000 },
    ...{ inputTokens: 4_000, outputTokens: 400, parallel: 4 },
  },
  "an agent with small prompts": {
    ...{ model: ["openai", "gpt-4o"], capMicroUsd: 1_000_000 },
    ...{ inputTokens: 800, outputTokens: 300, parallel: 1 },
  },
};

for (const [name, habit] of Object.entries(habits))
  test(`${name} can spend 98 % of a day's budget, and never more than all of it`, async (t) => {
    const share = await usable(t, habit);
    t.diagnostic(`${(share * 100).toFixed(2)} % of $${(habit.capMicroUsd / 1e6).toFixed(2)}`);
    assert.ok(share >= 0.98 && share <= 1, `${share}`);
  });
