/**
 * Steps a second and milliseconds a step for no-op steps that are durable one by one: a chain of 100 and a fan-out of
 * 100, beside raw commits of one row with the same fsync policy, in turns in one run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { openStore } from "../../mesh/store/open.ts";
import { WorkflowEngine } from "../../mesh/workflow/engine/engine.ts";
import { nothingToPrepare, type Performer } from "../../mesh/workflow/engine/job.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { unlabelled } from "../../protocol/label.ts";
import { auditKeys } from "../simulation/world.ts";
import { constant, item, outputWrite, planOf, step, task, text, workflow } from "../simulation/workflow-plans.ts";

const STEPS = 100;
const ROUNDS = 7;
const noop: Performer = {
  prepare: () => nothingToPrepare,
  perform: () => Promise.resolve({ ok: true, output: null, label: unlabelled }),
};

const chain = planOf(
  workflow(
    "chain",
    Array.from({ length: STEPS }, (_, n) =>
      step(`s${n}`, n === 0 ? [] : [`s${n - 1}`], outputWrite("a", constant(""))),
    ),
    constant(null),
  ),
);
const fan = planOf(
  workflow(
    "fan",
    Array.from({ length: STEPS }, (_, n) => step(`s${n}`, [], outputWrite("a", text("", item)))).map((each) => ({
      ...each,
      with: constant({}),
    })),
    constant(null),
  ),
);
const map = planOf(
  workflow(
    "map",
    [
      step(
        "all",
        [],
        task({
          ...{
            kind: "map",
            over: constant(Array.from({ length: STEPS }, (_, n) => n)),
            as: "item",
            join: { kind: "all" },
          },
          ...{ concurrency: STEPS, itemsMax: STEPS, each: outputWrite("a", constant("")) },
        }),
      ),
    ],
    constant(null),
  ),
);

const folder = mkdtempSync(join(tmpdir(), "cordon-steps-"));
const raw = new DatabaseSync(join(folder, "raw.sqlite"));
raw.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, data TEXT)");
const insert = raw.prepare("INSERT INTO t (data) VALUES (?)");
// Its log must have its size already, as that of a store has that is in use: to grow a file costs more than to write it.
raw.exec("BEGIN");
for (let n = 0; n < 3_000; n++) insert.run("x".repeat(4_000));
raw.exec("COMMIT; PRAGMA wal_checkpoint(RESTART); BEGIN; DELETE FROM t; COMMIT");
raw.exec("PRAGMA wal_checkpoint(RESTART)");
const store = await openStore({ path: join(folder, "state") });
const audit = createAudit({ store, clock, ...auditKeys() });
const engine = new WorkflowEngine({
  ...{ store, audit, clock, ids, language, monitor: { emit: () => {} } },
  ledger: { openScope: () => {}, closeScope: () => {} },
  performers: { agent: noop, tool: noop, board: noop, topic: noop },
});

async function perSecond(work: () => Promise<void> | void): Promise<number> {
  const startMs = clock.monotonicMs();
  await work();
  return STEPS / ((clock.monotonicMs() - startMs) / 1_000);
}
async function run(plan: ReturnType<typeof planOf>): Promise<void> {
  const started = await engine.start({ plan, input: {}, label: unlabelled, by: "principal:bench" });
  if (!started.ok) throw new Error(started.error.reason);
  const ended = await engine.outcome(started.value.run, new AbortController().signal);
  if (ended.status !== "succeeded") throw new Error(ended.reason);
}
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const kinds: Readonly<Record<string, () => Promise<void> | void>> = {
  raw: () => {
    for (let n = 0; n < STEPS; n++) insert.run("x".repeat(200));
  },
  chain: () => run(chain),
  fan: () => run(fan),
  map: () => run(map),
};
const rates = new Map<string, number[]>(Object.keys(kinds).map((kind) => [kind, []]));
for (let round = 0; round <= ROUNDS; round++) {
  for (const [kind, work] of Object.entries(kinds)) {
    const rate = await perSecond(work);
    // The first round warms up.
    if (round > 0) rates.get(kind)?.push(rate);
  }
}
engine.close();
await audit.close();
await store.close();
raw.close();
rmSync(folder, { recursive: true });
const rawRate = median(rates.get("raw") ?? []);
const rows = [...rates].map(([kind, list]) => {
  const rate = median(list);
  return {
    kind,
    stepsPerSecond: Math.round(rate),
    msPerStep: Number((1_000 / rate).toFixed(3)),
    ratioToRaw: Number((rate / rawRate).toFixed(2)),
  };
});
console.table(rows);
console.log(JSON.stringify({ benchmark: "workflow-steps", steps: STEPS, rounds: ROUNDS, rows }));
