/** A state from before tenants: what was spent on each day is there, of no tenant, and new rows stand beside it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { applicationId, migrations } from "../../mesh/store/migrations.ts";
import { openStore } from "../../mesh/store/open.ts";
import { spendingTenants } from "../../mesh/store/tables/spending.ts";
import { stateFolder } from "./world.ts";

test("the days of before tenants stay, with every count", async (t) => {
  const path = stateFolder(t);
  const before = migrations.indexOf(spendingTenants);
  assert.ok(before > 0);
  const old = new DatabaseSync(join(path, "cordon.sqlite"));
  for (const step of migrations.slice(0, before)) old.exec(step);
  old.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${before}`);
  old.exec("INSERT INTO usage_day VALUES (0, 'a', 'm', 'r', 't', 'k', 'p', '1970-01-01', 9, 1, 2, 3, 4, 5, 6, 7)");
  old.close();

  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  await store.commit([
    ["spending.add", 0, "a", "m", "r", "t", "acme", "k", "p", "1970-01-01", 9, 1, 0, 0, 0, 0, 0, 70],
    ["spending.add", 0, "a", "m", "r", "t", "", "k", "p", "1970-01-01", 9, 1, 0, 0, 0, 0, 0, 100],
  ]);
  const counts = { inputTokens: 3, cacheReadTokens: 4, cacheWriteTokens: 5, outputTokens: 6 };
  const rows = store.query.spending.days("all", "0000-01-01", 10);
  assert.deepEqual(rows[0], {
    ...{ day: "1970-01-01", startMs: 0, endMs: 9, agent: "a", model: "m", run: "r", teams: "t", tenant: "" },
    ...{ credential: "k", price: "p", calls: 2, estimates: 2, ...counts, microUsd: 107 },
  });
  assert.deepEqual(
    rows.map(({ tenant, microUsd }) => [tenant, microUsd]),
    [
      ["", 107],
      ["acme", 70],
    ],
  );
});
