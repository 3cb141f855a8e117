/** When work begins: what could reach beyond the store waits for its start to be on disk; what cannot comes after it in the order of rows. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createAudit } from "../../mesh/audit/create.ts";
import { openStore } from "../../mesh/store/open.ts";
import { WorkflowEngine } from "../../mesh/workflow/engine/engine.ts";
import { nothingToPrepare, type Performer } from "../../mesh/workflow/engine/job.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { unlabelled } from "../../protocol/label.ts";
import { constant, outputWrite, planOf, step, workflow } from "./workflow-plans.ts";
import { auditKeys, countingIds, SimulatedClock } from "./world.ts";
import { until } from "./workflow-world.ts";

/** A chain of three steps whose work leaves a row in the tick in which it begins. Rows, and what was on disk at each beginning. */
async function chain(staysInStore: boolean) {
  const path = mkdtempSync(join(tmpdir(), "cordon-order-"));
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  const rows: string[] = [];
  let commits = 0;
  const store = await openStore({
    ...{ path, mode: "inline" },
    faults: (point) => {
      if (point.at === "commit") commits++;
      if (point.at === "write") rows.push(point.statement);
    },
  });
  const audit = createAudit({ store, clock, ...auditKeys() });
  const known: boolean[] = [];
  const performer: Performer = {
    prepare: () => nothingToPrepare,
    staysInStore: () => staysInStore,
    perform({ run, task }) {
      known.push(
        store.query.workflow
          .events(run, 0, 100)
          .some(({ kind, data }) => kind === "step.started" && data.includes(`"${task}"`)),
      );
      void store.commit([["workflow.markEffect", run, task, "{}"]]);
      return Promise.resolve({ ok: true, output: null, label: unlabelled });
    },
  };
  const engine = new WorkflowEngine({
    ...{ store, audit, clock, ids: countingIds(0), language, monitor: { emit: () => {} } },
    ledger: { openScope: () => undefined, closeScope: () => undefined },
    performers: { agent: performer, tool: performer, board: performer, topic: performer },
  });
  try {
    const work = outputWrite("a", constant(""));
    const plan = planOf(
      workflow("chain", [step("a", [], work), step("b", ["a"], work), step("c", ["b"], work)], constant(1)),
    );
    const started = await engine.start({ plan, input: {}, label: unlabelled, by: "principal:operator" });
    assert.ok(started.ok);
    const { run } = started.value;
    await until(clock, () => engine.state(run) === undefined);
    const kinds = store.query.workflow.events(run, 0, 100).map(({ kind }) => kind);
    assert.equal(kinds.at(-1), "run.finished");
    return { rows: rows.filter((row) => /^workflow\.(?:append|markEffect)$/.test(row)), known, commits };
  } finally {
    engine.close();
    await audit.close();
    await store.close();
    rmSync(path, { recursive: true, force: true });
  }
}

/** How many events are in the journal before each effect: a start and an end for each step, after the start of the run. */
function eventsBefore(rows: readonly string[]): number[] {
  let events = 0;
  return rows.flatMap((row) => (row === "workflow.append" ? (events++, []) : [events]));
}

test("work that could reach beyond the store begins when its start is on disk", async () => {
  const { known, rows } = await chain(false);
  assert.deepEqual(known, [true, true, true]);
  assert.ok(eventsBefore(rows).every((events, n) => events >= 2 + 2 * n));
});

test("work that cannot does not wait, and its rows still come after its start", async () => {
  const { known, rows, commits } = await chain(true);
  assert.deepEqual(known, [false, false, false]);
  const before = eventsBefore(rows);
  assert.equal(before.length, 3);
  assert.ok(
    before.every((events, n) => events >= 2 + 2 * n),
    before.join(", "),
  );
  assert.ok(commits < (await chain(false)).commits, "fewer transactions");
});
