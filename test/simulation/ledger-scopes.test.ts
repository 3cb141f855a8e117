/** Teams, runs and steps, rolling windows, requests and bytes by destination, warnings, corrections. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { InvariantError } from "../../lib/assert.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import type { Amount, Caps, Hold, Scope, Usage } from "../../mesh/ledger/ledger.ts";
import type { BudgetNotice } from "../../mesh/ledger/notices.ts";
import { ScopeTree } from "../../mesh/ledger/scope-tree.ts";
import { openStore } from "../../mesh/store/open.ts";
import { auditKeys, countingIds, SimulatedClock, stateFolder } from "./world.ts";

const amount = (tokens: number, microUsd = 0): Amount => ({ tokens, microUsd });
const used = (tokens: number, microUsd = 0): Usage => ({ inputTokens: 0, outputTokens: 0, cost: { tokens, microUsd } });
const cap = (day: Caps["day"], more: Partial<Caps> = {}): Caps => ({ day, month: {}, ...more });
const HOUR_MS = 3_600_000;

async function start(t: TestContext, caps: (scope: Scope) => Caps) {
  const clock = new SimulatedClock("2026-05-10T00:00:00Z");
  const path = stateFolder(t);
  const keys = auditKeys();
  const notices: BudgetNotice[] = [];
  let run = 0;
  const open = async () => {
    const store = await openStore({ path, mode: "inline" });
    t.after(() => store.close());
    const audit = createAudit({ store, clock, ...keys });
    const parts = { store, audit, clock, ids: countingIds(run++), timeZone: "UTC", caps };
    const ledger = await createLedger({ ...parts, onNotice: (notice) => notices.push(notice) });
    const spend = async (scopes: readonly Scope[], tokens: number): Promise<boolean> => {
      const hold = ledger.reserve(scopes, amount(tokens), "m");
      if (!hold.ok) return false;
      await store.commit([...hold.value.writes, ...ledger.settle(hold.value, used(tokens)).writes]);
      return true;
    };
    return { store, audit, ledger, spend };
  };
  return { clock, open, notices };
}

function reserved(result: { ok: boolean; value?: Hold }): Hold {
  assert.ok(result.ok && result.value, "expected a reservation");
  return result.value;
}

test("a member that is moved to another team frees nothing where it left, and brings nothing where it joins", async (t) => {
  const settings = (members: Record<string, string[]>) =>
    new ScopeTree({
      budget: cap({}),
      teams: Object.entries(members).map(([name, each]) => ({ name, members: each, budget: cap({ tokens: 100 }) })),
      agents: ["a", "b"].map((name) => ({ name, budget: cap({ tokens: 150 }) })),
    });
  let tree = settings({ red: ["a", "b"], blue: [] });
  const { open } = await start(t, (scope) => tree.caps(scope));
  const { spend, ledger, store, audit } = await open();
  assert.deepEqual(tree.of("a"), ["fleet", "team:red", "agent:a"]);
  assert.equal(await spend(tree.of("a"), 90), true);
  tree = settings({ red: ["b"], blue: ["a"] });
  assert.equal(await spend(tree.of("b"), 11), false, "red has spent what `a` spent in it");
  assert.equal(await spend(tree.of("b"), 10), true);
  assert.equal(await spend(tree.of("a"), 61), false, "`a` itself has 60 left");
  assert.equal(await spend(tree.of("a"), 60), true, "blue begins with nothing of it");
  // The team is dissolved, then made again under its name, and the mesh starts anew.
  tree = settings({ blue: ["a"] });
  await audit.close();
  await store.close();
  tree = settings({ red: ["b"], blue: ["a"] });
  const again = await open();
  assert.equal(await again.spend(tree.of("b"), 1), false);
  assert.equal(ledger.usage().find((row) => row.scope === "team:red")?.calls, 2);
});

test("a tenant's cap holds over its agents, and what was spent stays with the tenant that spent it", async (t) => {
  const settings = (members: Record<string, string[]>) =>
    new ScopeTree({
      budget: cap({}),
      teams: [{ name: "red", members: ["a", "b"], budget: cap({}) }],
      tenants: Object.entries(members).map(([name, each]) => ({ name, members: each, budget: cap({ tokens: 100 }) })),
      agents: ["a", "b"].map((name) => ({ name, budget: cap({ tokens: 150 }) })),
    });
  let tree = settings({ acme: ["a", "b"], bolt: [] });
  const { open } = await start(t, (scope) => tree.caps(scope));
  const first = await open();
  assert.deepEqual(tree.of("a"), ["fleet", "team:red", "tenant:acme", "agent:a"]);
  assert.deepEqual(tree.all, ["fleet", "team:red", "tenant:acme", "tenant:bolt", "agent:a", "agent:b"]);
  assert.equal(await first.spend(tree.of("a"), 60), true);
  const refused = first.ledger.reserve(tree.of("b"), amount(41), "m");
  assert.equal(!refused.ok && refused.error.scope, "tenant:acme");
  assert.equal(first.ledger.lines(["agent:b"])[0]?.reserved, 0, "all scopes or none");
  // What is on its way while the agent moves ends where it began.
  const open60 = reserved(first.ledger.reserve(tree.of("a"), amount(40), "m"));
  await first.store.commit(open60.writes);
  tree = settings({ acme: ["b"], bolt: ["a"] });
  await first.store.commit(first.ledger.settle(open60, used(40)).writes);
  assert.equal(await first.spend(tree.of("b"), 1), false, "acme has spent what `a` spent in it");
  assert.equal(await first.spend(tree.of("a"), 50), true, "bolt begins with nothing of it");
  assert.equal(await first.spend(tree.of("a"), 1), false, "`a` itself keeps what it spent");
  await first.audit.close();
  await first.store.close();
  const again = await open();
  assert.equal(await again.spend(tree.of("b"), 1), false, "nor does a restart free it");
  const spent = again.store.query.spending.days("tenant", "0000-01-01", 10);
  assert.deepEqual(
    new Map(spent.map(({ tenant, calls }) => [tenant, calls])),
    new Map([
      ["acme", 2],
      ["bolt", 1],
    ]),
  );
});

test("a team's cap holds for its members together, all scopes or none", async (t) => {
  const { open } = await start(t, (scope) => (scope === "team:red" ? cap({ tokens: 10 }) : cap({})));
  const { ledger } = await open();
  reserved(ledger.reserve(["fleet", "team:red", "agent:a"], amount(7), "m"));
  const refused = ledger.reserve(["fleet", "team:red", "agent:b"], amount(4), "m");
  assert.equal(!refused.ok && refused.error.scope, "team:red");
  assert.equal(ledger.lines(["agent:b"])[0]?.reserved, 0);
});

test("a run and a step have caps of their own that never reset, also over a restart and after they were closed", async (t) => {
  const { open, clock } = await start(t, () => cap({}));
  const scopes: Scope[] = ["fleet", "agent:a", "run:r_1", "step:r_1/draft"];
  const first = await open();
  assert.throws(() => first.ledger.reserve(scopes, amount(1), "m"), InvariantError, "not opened");
  const openBoth = ({ ledger }: typeof first): void => {
    ledger.openScope("run:r_1", { tokens: 100 });
    ledger.openScope("step:r_1/draft", { tokens: 60, requests: 3 });
  };
  openBoth(first);
  assert.equal(await first.spend(scopes, 50), true);
  clock.jumpTo("2026-07-01T00:00:00Z");
  const refused = first.ledger.reserve(scopes, amount(11), "m");
  assert.ok(!refused.ok && refused.error.scope === "step:r_1/draft" && refused.error.window === "run");
  assert.ok(Number.isFinite(new Date(refused.error.resetsAtMs).getTime()), "a moment that can be told");
  for (const scope of ["run:r_1", "step:r_1/draft"] as const) first.ledger.closeScope(scope);
  for (let i = 0; i < 1_100; i++) first.ledger.closeScope(`run:x${i}`);
  openBoth(first);
  assert.equal(await first.spend(scopes, 11), false, "closing frees nothing");
  await first.audit.close();
  await first.store.close();
  const again = await open();
  openBoth(again);
  assert.equal(await again.spend(scopes, 11), false, "nor does a restart");
  assert.equal(await again.spend(scopes, 1), true);
  assert.equal(await again.spend(scopes, 1), true);
  const third = again.ledger.reserve(scopes, amount(1), "m");
  assert.equal(!third.ok && third.error.unit, "requests");
});

test("a run that was closed while a call is open keeps what the call holds", async (t) => {
  const { open } = await start(t, () => cap({}));
  const { ledger } = await open();
  ledger.openScope("run:r", { tokens: 10 });
  const hold = reserved(ledger.reserve(["run:r"], amount(9), "m"));
  ledger.closeScope("run:r");
  for (let i = 0; i < 3_000; i++) ledger.closeScope(`run:x${i}`);
  ledger.settle(hold, used(8));
  ledger.openScope("run:r", { tokens: 10 });
  assert.equal(ledger.left(["run:r"]).tokens, 2);
});

test("in any 6 hours no more passes than the rolling cap, and what is over is cleared from the disk", async (t) => {
  const { open, clock } = await start(t, () => cap({}, { rolling: [{ spanMs: 6 * HOUR_MS, cap: { tokens: 100 } }] }));
  const { spend, store, ledger } = await open();
  const spent: { readonly atMs: number; readonly tokens: number }[] = [];
  let seed = 7;
  for (let i = 0; i < 600; i++) {
    seed = (seed * 16_807) % 2_147_483_647;
    clock.pass((seed % 40) * 60_000);
    const tokens = 1 + (seed % 30);
    if (await spend(["agent:a"], tokens)) spent.push({ atMs: clock.nowMs(), tokens });
  }
  assert.ok(spent.length > 100);
  for (const { atMs } of spent) {
    const within = spent.filter((each) => each.atMs > atMs - 6 * HOUR_MS && each.atMs <= atMs);
    assert.ok(within.reduce((sum, each) => sum + each.tokens, 0) <= 100, new Date(atMs).toISOString());
  }
  const used = spent.reduce((sum, { tokens }) => sum + tokens, 0);
  const possible = (100 * (clock.nowMs() - Date.parse("2026-05-10T00:00:00Z"))) / (6 * HOUR_MS);
  assert.ok(used > possible * 0.6, `${used} of ${possible}: a bound that can be used`);
  assert.ok(store.query.ledger.totals(`rolling:${6 * HOUR_MS}`, 0, Number.MAX_SAFE_INTEGER).length <= 16);
  assert.ok(ledger.lines(["agent:a"]).some((line) => line.window === `rolling:${6 * HOUR_MS}` && line.cap === 100));
});

test("a rolling window does not empty when the clock goes back, nor over a restart", async (t) => {
  const { open, clock } = await start(t, () => cap({}, { rolling: [{ spanMs: HOUR_MS, cap: { requests: 2 } }] }));
  const first = await open();
  clock.jumpTo("2026-05-10T12:00:00Z");
  assert.deepEqual([await first.spend(["fleet"], 1), await first.spend(["fleet"], 1)], [true, true]);
  await first.audit.close();
  await first.store.close();
  for (const at of ["2026-05-10T09:00:00Z", "2026-05-10T12:59:59Z"]) {
    clock.jumpTo(at);
    const again = await open();
    const refused = again.ledger.reserve(["fleet"], amount(0), "m");
    assert.ok(!refused.ok, at);
    assert.ok(refused.error.resetsAtMs >= Date.parse("2026-05-10T13:00:00Z"), at);
    await again.audit.close();
    await again.store.close();
  }
  clock.jumpTo("2026-05-10T13:06:00Z");
  assert.equal((await open()).ledger.reserve(["fleet"], amount(0), "m").ok, true);
});

test("requests and bytes are capped by destination; a refused upstream call has sent what it has sent", async (t) => {
  const to = { openai: cap({ bytes: 1_000, requests: 3 }) };
  const { open } = await start(t, (scope) =>
    scope === "agent:a" ? cap({ requests: 5 }, { destinations: to }) : cap({}),
  );
  const { ledger } = await open();
  const send = (bytes: number, destination: string) =>
    ledger.reserve(["fleet", "agent:a"], amount(1), "m", { bytes, destination });
  ledger.release(reserved(send(900, "openai")));
  const refused = send(101, "openai");
  assert.ok(!refused.ok && refused.error.scope === ("agent:a>openai" as Scope) && refused.error.unit === "bytes");
  reserved(send(5_000, "groq"));
  ledger.release(reserved(send(100, "openai")), { unsent: true });
  reserved(send(100, "openai"));
  reserved(send(0, "openai"));
  const fourth = send(0, "openai");
  assert.ok(!fourth.ok && fourth.error.unit === "requests");
  reserved(send(0, "groq"));
  const sixth = send(0, "groq");
  assert.ok(!sixth.ok && sixth.error.scope === "agent:a");
});

test("80 and 95 % are told once a window, also over a restart; the day's forecast once", async (t) => {
  const { open, clock, notices } = await start(t, (scope) => (scope === "fleet" ? cap({ tokens: 1_000 }) : cap({})));
  const first = await open();
  clock.jumpTo("2026-05-10T06:00:00Z");
  await first.spend(["fleet"], 300);
  assert.deepEqual(
    notices.map((notice) => [notice.kind, notice.kind === "forecast" && notice.forecast]),
    [["forecast", 1_200]],
  );
  await first.spend(["fleet"], 400);
  await first.spend(["fleet"], 100);
  await first.spend(["fleet"], 10);
  const warned = () => notices.flatMap((notice) => (notice.kind === "warning" ? [notice.percent] : []));
  assert.deepEqual(warned(), [80]);
  await first.audit.close();
  await first.store.close();
  const again = await open();
  await again.spend(["fleet"], 10);
  assert.deepEqual(warned(), [80], "not again after a restart");
  await again.spend(["fleet"], 160);
  assert.deepEqual(warned(), [80, 95]);
  clock.jumpTo("2026-05-11T00:00:00Z");
  await again.spend(["fleet"], 950);
  assert.deepEqual(warned(), [80, 95, 80, 95], "a new day");
  assert.equal(notices.filter((notice) => notice.kind === "forecast").length, 1, "the forecast only once a day");
});

test("what is told is measured by the cap that holds when a call ends, not by that of its reservation", async (t) => {
  let caps = cap({ tokens: 1_000_000 });
  const { open, notices } = await start(t, () => caps);
  const { ledger, store } = await open();
  const scopes = Object.freeze(["fleet"] as const);
  const hold = reserved(ledger.reserve(scopes, amount(90), "m"));
  caps = cap({ tokens: 100 });
  await store.commit([...hold.writes, ...ledger.settle(hold, used(90)).writes]);
  assert.deepEqual(
    notices.map((notice) => [notice.kind, notice.cap]),
    [["warning", 100]],
  );
});

test("the provider's figure takes the place of an estimate, once, and never raises it", async (t) => {
  const { open } = await start(t, () => cap({ tokens: 100 }));
  const { ledger, store } = await open();
  const hold = reserved(ledger.reserve(["fleet", "agent:a"], amount(80, 8), "m"));
  await store.commit([...hold.writes, ...ledger.settle(hold, used(80, 8), { estimate: true }).writes]);
  const settledOf = () => ledger.lines(["agent:a"]).map((line) => line.settled);
  assert.deepEqual(settledOf(), [80, 8, 80, 8]);
  const corrected = ledger.correct(hold.id, used(30, 99));
  assert.deepEqual(corrected?.freed, { tokens: 50, microUsd: 0 });
  assert.equal(ledger.correct(hold.id, used(0)), undefined, "also before the row is gone from the disk");
  await store.commit(corrected.writes);
  assert.equal(ledger.correct(hold.id, used(0)), undefined);
  assert.deepEqual(settledOf(), [30, 8, 30, 8]);
  const exact = reserved(ledger.reserve(["agent:a"], amount(5), "m"));
  await store.commit([...exact.writes, ...ledger.settle(exact, used(5)).writes]);
  assert.equal(ledger.correct(exact.id, used(0)), undefined, "what the provider has told is no estimate");
});

test("what a crash charged in full is corrected in the windows where it was charged, days later", async (t) => {
  const { open, clock } = await start(t, () => cap({ tokens: 100 }));
  const first = await open();
  const hold = reserved(first.ledger.reserve(["agent:a"], amount(80, 9), "m"));
  await first.store.commit(hold.writes);
  await first.store.close();
  const again = await open();
  assert.equal(again.ledger.recovered.length, 1);
  clock.jumpTo("2026-05-14T00:00:00Z");
  await again.spend(["agent:a"], 7);
  const corrected = again.ledger.correct(hold.id, used(20, 2));
  assert.deepEqual(corrected?.freed, { tokens: 60, microUsd: 7 });
  await again.store.commit(corrected.writes);
  const rows = again.store.query.ledger.totals("day", Date.parse("2026-05-10T00:00:00Z"));
  assert.equal(rows[0]?.settledTokens, 20);
  assert.equal(again.ledger.lines(["agent:a"])[0]?.settled, 7);
  assert.equal(again.ledger.totals()[0]?.microUsd, 2);
});
