/** Costs by day, budgets set while the fleet runs, lists of prices, reconciliation: on a real mesh, and without one. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { BudgetLine } from "../../protocol/desk.ts";
import type { BudgetHistory, ModelPage, Spending } from "../../protocol/money.ts";
import { readState } from "../fleet/doomed-mesh.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { echoFleet, openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const homes: Home[] = [];
after(async () => {
  for (const home of homes) await home.close();
});
function home(files: Readonly<Record<string, string>>): Home {
  const opened = openHome(files);
  homes.push(opened);
  return opened;
}

async function up({ cordon }: Home): Promise<void> {
  assertDone(await cordon(["up", "-d"]));
  await eventually("a running agent", async () =>
    (await cordon(["status"])).stdout.match(/assistant +(?:acme +)?running/) ? true : undefined,
  );
}

const spendingIn = (text: string): Spending => (JSON.parse(text) as { spending: Spending }).spending;
const teams =
  "teams: { desk: { members: [assistant], budget: { day: { usd: 1.00 } } } }\ntenants: { acme: { members: [assistant] } }\n";
const list = (version: string, input: number): string =>
  JSON.stringify({
    format: "cordon-prices/1",
    version,
    models: [{ provider: "openai", model: "gpt-4o", context_tokens: 4_096, input, output: 10 }],
  });

test("costs by agent, team, model, credential and day, as text, JSON, CSV and FOCUS; the same without a mesh", async () => {
  const mine = home(echoFleet("books", teams));
  const { cordon } = mine;
  await up(mine);
  assert.equal(assertDone(await cordon(["chat", "assistant", "-m", "hello there"])), "hello there\n");

  assert.match(assertDone(await cordon(["costs"])), /assistant +rehearsal\/echo +\d+ +\d+ +\d+ +\d+ +\$0\.\d+ +█/);
  assert.match(assertDone(await cordon(["costs", "--by", "team"])), /desk +rehearsal\/echo/);
  assert.match(assertDone(await cordon(["costs", "--by", "tenant"])), /acme +rehearsal\/echo/);
  assert.match(assertDone(await cordon(["costs", "--by", "credential"])), /rehearsal +rehearsal\/echo/);
  const today = spendingIn(assertDone(await cordon(["costs", "--since", "today", "--json"])));
  const [row] = today.rows;
  assert.ok(row && row.day === today.today && row.agent === "assistant" && row.calls >= 1 && row.microUsd > 0);
  assert.equal(row.endMs - row.startMs, 86_400_000);
  const totals = (JSON.parse(assertDone(await cordon(["costs", "--json"]))) as { totals: { microUsd: number }[] })
    .totals;
  assert.equal(
    today.rows.reduce((sum, each) => sum + each.microUsd, 0),
    totals.reduce((sum, each) => sum + each.microUsd, 0),
    "the days add up to what the ledger has counted",
  );
  assert.deepEqual(spendingIn(assertDone(await cordon(["costs", "--since", "2099-01-01", "--json"]))).rows, []);

  const [head, line] = assertDone(await cordon(["costs", "--csv"])).split("\r\n");
  assert.match(head ?? "", /^day,agent,teams,tenant,run,model,credential,price,calls,estimates,/);
  assert.match(line ?? "", /,assistant,desk,acme,,rehearsal\/echo,rehearsal,rehearsal price,/);
  const focus = assertDone(await cordon(["costs", "--focus"])).split("\r\n");
  assert.equal(focus[0]?.split(",").length, 33);
  assert.match(focus[1] ?? "", /,USD,\d{4}-\d\d-01T00:00:00Z,.*,Usage,.*AI and Machine Learning/);

  assertFails(await cordon(["costs", "--since", "soon"]), /`--since soon` is no time/, /`7d`/, 2);
  assertFails(await cordon(["costs", "--by", "planet"]), /cannot sum by `planet`/, /--by team/, 2);
  assertFails(await cordon(["costs", "--csv", "--json"]), /exclude each other/, /one of them/, 2);

  const shown = assertDone(await cordon(["costs", "--csv"]));
  assertDone(await cordon(["down"]));
  assert.equal(assertDone(await cordon(["costs", "--csv"])), shown);

  // What the provider says: the same, and then something else.
  const micro = today.rows.reduce((sum, each) => sum + each.microUsd, 0);
  const tokens = row.inputTokens + row.cacheReadTokens + row.cacheWriteTokens;
  const columns = "date,provider,model,input_tokens,output_tokens,cost_usd";
  const usage = (usd: number): string =>
    `${columns}\n${row.day},rehearsal,echo,${tokens},${row.outputTokens},${usd.toFixed(6)}\n`;
  mine.write({ "same.csv": usage(micro / 1e6), "more.csv": usage(9), "bad.csv": `${columns}\nyesterday,x,y,1,1,1\n` });
  assert.match(assertDone(await cordon(["costs", "reconcile", "--from", "same.csv"])), /rehearsal\/echo.*agrees/);
  const differs = await cordon(["costs", "reconcile", "--from", "more.csv"]);
  assert.equal(differs.code, 1);
  assert.match(differs.stdout, /\$9\.00 +-\$8\.\d+/);
  assertFails(await cordon(["costs", "reconcile", "--from", "bad.csv"]), /entry 1, `date`/, /--help/);
  assertFails(await cordon(["costs", "reconcile"]), /needs what the provider says/, /--from FILE/, 2);
});

test("a budget that is set holds from the next call on and over a restart, is history, and can be given back", async () => {
  const mine = home(echoFleet("wallet"));
  const { cordon } = mine;
  await up(mine);
  assertDone(await cordon(["chat", "assistant", "-m", "one"]));
  const set = ["budget", "set", "agent:assistant", "day"];
  assert.match(
    assertDone(await cordon([...set, "usd=2.50", "requests=500"])),
    /at most \$2\.50,[^]*at most 500 requests/,
  );
  assert.match(assertDone(await cordon(["budget", "show"])), /agent:assistant +day +\$[\d.]+ +\$0\.00 +\$2\.50/);

  const lowered = await cordon([...set, "usd=0.000001"]);
  assert.equal(lowered.code, 0);
  assert.match(lowered.stderr, /nothing more will be let through/);
  assertFails(await cordon(["chat", "assistant", "-m", "two"]), /budget|halted/, /./);
  assertDone(await cordon(["down"]));

  assert.match(assertDone(await cordon(["budget", "history"])), /\$0\.000001 +holds\n[^]*\$2\.50/);
  await up(mine);
  assert.match(assertDone(await cordon(["budget", "show"])), /agent:assistant +day +\$[\d.]+ +\$0\.00 +\$0\.000001/);
  assert.match(assertDone(await cordon([...set, "usd=default"])), /at most \$1\.00/);
  assertDone(await cordon(["chat", "assistant", "-m", "three"]));
  const { changes } = JSON.parse(assertDone(await cordon(["budget", "history", "--json"]))) as BudgetHistory;
  assert.deepEqual(
    changes.map(({ unit, cap, holds }) => [unit, cap, holds]),
    [
      ["usd", null, true],
      ["usd", 1, false],
      ["requests", 500, true],
      ["usd", 2_500_000, false],
    ],
  );
  // Used up for certain: the agent is halted, until somebody raises the budget and starts it.
  const line = (
    JSON.parse(assertDone(await cordon(["budget", "show", "--json"]))) as { lines: BudgetLine[] }
  ).lines.find(({ scope, window, unit }) => scope === "agent:assistant" && window === "day" && unit === "requests");
  assertDone(await cordon([...set, `requests=${line?.settled}`]));
  assertFails(await cordon(["chat", "assistant", "-m", "four"]), /budget|halted/, /./);
  assert.match(assertDone(await cordon(["status"])), /assistant +halted/);
  assert.match((await cordon([...set, "requests=900"])).stderr, /`assistant` is still halted for it: add `--start`/);
  assert.match((await cordon([...set, "requests=900", "--start"])).stderr, /`assistant` starts again/);
  assert.equal(assertDone(await cordon(["chat", "assistant", "-m", "five"])), "five\n");

  assertFails(await cordon(["budget", "set", "agent:nobody", "day", "usd=1"]), /no `agent:nobody`/, /budget show/);
  assertFails(await cordon(["budget", "set", "run:x", "day", "usd=1"]), /`scope`/, /cordon budget set/, 2);
  assertFails(await cordon([...set, "usd=-1"]), /not an amount/, /usd=2\.50/, 2);
  assertFails(await cordon([...set, "euro=1"]), /`euro=1` is no amount/, /usd=2\.50/, 2);
  assertDone(await cordon(["down"]));
  assertFails(await cordon([...set, "usd=1"]), /no mesh is running/, /cordon up/);
  const kinds = readState(mine.state, ({ audit }) => audit.page(0, 1_000)).map(({ kind }) => kind);
  assert.equal(kinds.filter((kind) => kind === "budget.changed").length, 7);
});

test("a list of prices is taken whole or not at all, stands in the audit, and holds over restarts", async () => {
  const mine = home(echoFleet("list"));
  const { cordon } = mine;
  const priceOf = async (): Promise<ModelPage["models"][number] | undefined> =>
    (
      JSON.parse(assertDone(await cordon(["models", "list", "--provider", "openai", "--json"]))) as ModelPage
    ).models.find(({ model }) => model === "gpt-4o");
  // Nothing has to run, and nobody has to have a state, to look at prices.
  assert.equal((await priceOf())?.input, 2_500_000);
  await up(mine);
  mine.write({
    "one.json": list("2026-11-01", 3),
    "two.json": list("2026-12-01", 4),
    "bad.json": list("x", -1),
    "odd.json":
      '{"format":"cordon-prices/1","version":"x","models":[{"provider":"openai","model":"m","input":1,"output":1,"outptu":1}]}',
  });
  const done = assertDone(await cordon(["models", "update", "--from", "one.json"]));
  assert.match(done, /prices of 1 models, version 2026-11-01[^]*changed: openai\/gpt-4o/);
  assert.deepEqual(await priceOf().then((card) => [card?.input, card?.contextTokens, card?.source]), [
    3_000_000,
    4_096,
    "price list 2026-11-01",
  ]);
  for (const file of ["bad.json", "odd.json"])
    assertFails(await cordon(["models", "update", "--from", file]), /`models\.0/, /nothing was changed/);
  assert.equal((await priceOf())?.input, 3_000_000);
  assertDone(await cordon(["down"]));
  assertFails(await cordon(["models", "update", "--from", "bad.json"]), /`models\.0/, /nothing was changed/);
  assert.match(assertDone(await cordon(["models", "update", "--from", "two.json"])), /version 2026-12-01/);
  assert.equal((await priceOf())?.input, 4_000_000, "the newest holds");
  const hashes = readState(mine.state, ({ audit }) => audit.page(0, 1_000))
    .filter(({ kind }) => kind === "prices.updated")
    .map(({ detail }) => JSON.parse(detail) as { version: string; sha256: string });
  assert.deepEqual(
    hashes.map(({ version, sha256 }) => [version, sha256.length]),
    [
      ["2026-11-01", 64],
      ["2026-12-01", 64],
    ],
  );
  assert.match(assertDone(await cordon(["audit", "verify"])), /^intact/);
});
