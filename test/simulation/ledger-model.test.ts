/**
 * Random sequences of reservations, settlements, releases, clock jumps, cap changes and crashes against one
 * state. An observer that shares no code with the ledger adds up the history and compares it with the rows.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import fc from "fast-check";
import type { Caps, Hold, Scope } from "../../mesh/ledger/ledger.ts";
import { ScopeTree } from "../../mesh/ledger/scope-tree.ts";
import type { CounterRow } from "../../mesh/store/tables/ledger.ts";
import { auditKeys, openCore, SimulatedClock, stateFolder, type World } from "./world.ts";

interface Model {
  /** What the observer knows of each reservation that was acknowledged. */
  readonly open: Map<
    string,
    { readonly hold: Hold; readonly scopes: readonly Scope[]; readonly day: number; readonly month: number }
  >;
  readonly settled: Map<string, number>;
  readonly caps: Record<"day" | "month", { tokens: number; usd: number }>;
  /** Of each agent; absent = it has none. */
  readonly tenants: Map<string, string>;
  /** Windows never go back: the latest moment that was ever seen. */
  latestMs: number;
}
interface Real {
  core: Awaited<ReturnType<typeof openCore>>;
  readonly world: World;
  run: number;
}
type Command = fc.AsyncCommand<Model, Real>;

const dayOf = (ms: number): number => Date.parse(new Date(ms).toISOString().slice(0, 10));
const monthOf = (ms: number): number => Date.parse(`${new Date(ms).toISOString().slice(0, 7)}-01`);
const always = (): boolean => true;

function seen(model: Model, real: Real): number {
  model.latestMs = Math.max(model.latestMs, real.world.clock.nowMs());
  return model.latestMs;
}

function credit(model: Model, scopes: readonly Scope[], day: number, month: number, tokens: number, usd: number): void {
  for (const scope of scopes) {
    for (const [window, start] of [
      ["day", day],
      ["month", month],
    ] as const) {
      for (const [unit, value] of [
        ["tokens", tokens],
        ["usd", usd],
      ] as const) {
        const key = [scope, window, start, unit].join(" ");
        model.settled.set(key, (model.settled.get(key) ?? 0) + value);
      }
    }
  }
}

/** The observer: rows on disk against the history. */
function compare(model: Model, real: Real): void {
  const rows = new Map<string, CounterRow>();
  for (const row of real.core.store.query.ledger.allCounters()) {
    if (row.unit === "tokens" || row.unit === "usd")
      rows.set([row.scope, row.window, row.windowStartMs, row.unit].join(" "), row);
  }
  const reserved = new Map<string, number>();
  for (const { hold, scopes, day, month } of model.open.values()) {
    for (const scope of scopes) {
      for (const [window, start] of [
        ["day", day],
        ["month", month],
      ] as const) {
        for (const [unit, value] of [
          ["tokens", hold.worst.tokens],
          ["usd", hold.worst.microUsd],
        ] as const) {
          const key = [scope, window, start, unit].join(" ");
          reserved.set(key, (reserved.get(key) ?? 0) + value);
        }
      }
    }
  }
  for (const key of new Set([...rows.keys(), ...reserved.keys(), ...model.settled.keys()])) {
    assert.equal(rows.get(key)?.settled ?? 0, model.settled.get(key) ?? 0, `settled of ${key}`);
    assert.equal(rows.get(key)?.reserved ?? 0, reserved.get(key) ?? 0, `reserved of ${key}`);
  }
}

/** The scopes of an agent as the fleet file of this moment would have them: the same list as long as that is the same. */
function scopesOf(model: Model, agent: string): readonly Scope[] {
  const key = `${agent} ${[...model.tenants].join()}`;
  const known = lists.get(key);
  if (known) return known;
  const tenants = ["x", "y"].map((name) => ({
    ...{ name, budget: model.caps },
    members: [...model.tenants].flatMap(([member, tenant]) => (tenant === name ? [member] : [])),
  }));
  const agents = ["a", "b"].map((name) => ({ name, budget: model.caps }));
  const teams = [{ name: "t", members: ["a", "b"], budget: model.caps }];
  const list = new ScopeTree({ budget: model.caps, teams, tenants, agents }).of(agent);
  lists.set(key, list);
  return list;
}

const lists = new Map<string, readonly Scope[]>();

const reserve = (tokens: number, usd: number, agent: string): Command => ({
  check: always,
  run: async (model, real) => {
    const now = seen(model, real);
    const scopes = scopesOf(model, agent);
    const result = real.core.ledger.reserve(scopes, { tokens, microUsd: usd }, "m");
    const sums = real.core.ledger.lines(scopes);
    if (!result.ok) {
      const { window, unit, scope, left, wanted, cap } = result.error;
      assert.equal(cap, model.caps[window as "day"][unit as "usd"]);
      const line = sums.find((l) => l.scope === scope && l.window === window && l.unit === unit);
      assert.ok(line && wanted > left && line.settled + line.reserved + wanted > cap, "refused only what does not fit");
      return;
    }
    for (const { window, unit, settled, reserved } of sums) {
      assert.ok(settled + reserved <= model.caps[window as "day"][unit as "usd"], "settled + reserved <= cap");
    }
    await real.core.audit.record({ kind: "call.reserved", subject: `agent:${agent}`, detail: {} }, result.value.writes);
    model.open.set(result.value.id, { hold: result.value, scopes, day: dayOf(now), month: monthOf(now) });
    compare(model, real);
  },
  toString: () => `reserve(${tokens}, ${usd}, ${agent})`,
});

const end = (pick: number, tokens: number | undefined, usd: number): Command => ({
  check: (model) => model.open.size > 0,
  run: async (model, real) => {
    const [id, open] = [...model.open][pick % model.open.size]!;
    const { worst } = open.hold;
    const cost = { tokens: tokens ?? 0, microUsd: tokens === undefined ? 0 : usd };
    const { ledger, audit } = real.core;
    const ended =
      tokens === undefined
        ? ledger.release(open.hold)
        : ledger.settle(open.hold, { inputTokens: 1, outputTokens: 1, cost });
    await audit.record({ kind: "call.settled", subject: "mesh", detail: {} }, ended.writes);
    assert.deepEqual(ledger.release(open.hold).writes, []);
    model.open.delete(id);
    const [paid, money] = [Math.min(cost.tokens, worst.tokens), Math.min(cost.microUsd, worst.microUsd)];
    credit(model, open.scopes, open.day, open.month, paid, money);
    compare(model, real);
  },
  toString: () => (tokens === undefined ? `release(${pick})` : `settle(${pick}, ${tokens}, ${usd})`),
});

const jump = (hours: number): Command => ({
  check: always,
  run: async (model, real) => {
    real.world.clock.jumpTo(real.world.clock.nowMs() + hours * 3_600_000);
    real.core.ledger.left(["fleet"]);
    seen(model, real);
  },
  toString: () => `jump(${hours}h)`,
});

/** What is reserved and settled stays where it was. */
const move = (agent: string, tenant: string | undefined): Command => ({
  check: always,
  run: async (model, real) => {
    if (tenant === undefined) model.tenants.delete(agent);
    else model.tenants.set(agent, tenant);
    compare(model, real);
  },
  toString: () => `move(${agent}, ${tenant})`,
});

const setCap = (window: "day" | "month", unit: "tokens" | "usd", cap: number): Command => ({
  check: always,
  run: async (model) => {
    model.caps[window][unit] = cap;
  },
  toString: () => `cap(${window} ${unit} ${cap})`,
});

/** The process ends without a word; what was reserved stays reserved on disk, and is settled at its worst. */
const crash = (): Command => ({
  check: always,
  run: async (model, real) => {
    await real.core.store.close();
    real.core = await openCore({ ...real.world, run: ++real.run });
    assert.equal(real.core.ledger.recovered.length, model.open.size);
    for (const { hold, scopes, day, month } of model.open.values()) {
      credit(model, scopes, day, month, hold.worst.tokens, hold.worst.microUsd);
    }
    model.open.clear();
    // The newest window on disk is the one that is open now; nothing newer was ever counted in.
    const starts = real.core.store.query.ledger
      .allCounters()
      .map((row) => (row.window === "day" ? row.windowStartMs : 0));
    model.latestMs = Math.max(real.world.clock.nowMs(), ...starts);
    compare(model, real);
  },
  toString: () => "crash",
});

const START = "2026-01-30T20:00:00Z";

async function world(t: TestContext, journalOpsMax: number): Promise<{ model: Model; real: Real }> {
  const model: Model = {
    open: new Map(),
    settled: new Map(),
    caps: { day: { tokens: 300, usd: 300 }, month: { tokens: 800, usd: 800 } },
    tenants: new Map([["a", "x"]]),
    latestMs: Date.parse(START),
  };
  const clock = new SimulatedClock(START);
  const caps = (): Caps => model.caps;
  const parts: World = { path: stateFolder(t), clock, keys: auditKeys(), caps, journalOpsMax };
  return { model, real: { core: await openCore(parts), world: parts, run: 0 } };
}

test("settled + reserved <= cap, and the rows are the history, whatever happens (property)", async (t) => {
  const small = fc.nat({ max: 120 });
  // The tables are written with every operation, now and then, or by the next start alone.
  const behind = fc.constantFrom(1, 2, 5, 1_000);
  const commands = [
    fc.tuple(small, small, fc.constantFrom("a", "b")).map(([tokens, usd, agent]) => reserve(tokens, usd, agent)),
    fc.tuple(fc.nat(), small, small).map(([pick, tokens, usd]) => end(pick, tokens, usd)),
    fc.nat().map((pick) => end(pick, undefined, 0)),
    fc.integer({ min: -30, max: 40 }).map(jump),
    fc
      .tuple(fc.constantFrom("a", "b"), fc.constantFrom("x", "y", undefined))
      .map(([agent, tenant]) => move(agent, tenant)),
    fc
      .tuple(
        fc.constantFrom("day" as const, "month" as const),
        fc.constantFrom("tokens" as const, "usd" as const),
        fc.nat({ max: 900 }),
      )
      .map(([w, u, cap]) => setCap(w, u, cap)),
    fc.constant(crash()),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 40, size: "max" }), behind, async (sequence, opsMax) => {
      const setUp = await world(t, opsMax);
      try {
        await fc.asyncModelRun(() => setUp, sequence);
      } finally {
        await setUp.real.core.store.close();
      }
    }),
    { seed: 20_260_301, numRuns: 60 },
  );
});
