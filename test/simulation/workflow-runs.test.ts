import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultTenant } from "../../mesh/store/statements.ts";
import { readJournal } from "../../mesh/workflow/engine/journal.ts";
import { replay } from "../../mesh/workflow/engine/replay.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { unlabelled } from "../../protocol/label.ts";
import { SimulatedClock, stateFolder } from "./world.ts";
import { planOf, workflows } from "./workflow-plans.ts";
import { openWorkflows, until, Upstream } from "./workflow-world.ts";

for (const [name, { workflow, input }] of Object.entries(workflows)) {
  test(`workflow ${name} runs to its end`, async (t) => {
    const clock = new SimulatedClock("2026-11-22T10:00:00Z");
    const world = await openWorkflows({ path: stateFolder(t), clock, opening: 0, upstream: new Upstream() });
    const started = await world.engine.start({
      plan: planOf(workflow),
      input,
      label: unlabelled,
      by: "principal:operator",
    });
    assert.ok(started.ok, JSON.stringify(started));
    const { run } = started.value;
    await until(clock, () => world.engine.state(run) === undefined);
    const journal = readJournal(world.store, run);
    const last = journal.at(-1)?.event;
    assert.equal(last?.kind, "run.finished", journal.map(({ event }) => JSON.stringify(event)).join("\n"));
    assert.equal(last.status, name === "undone" ? "failed" : "succeeded", last.reason);
    assert.deepEqual(
      replay(planOf(workflow), journal, language).ok,
      true,
      JSON.stringify(replay(planOf(workflow), journal, language)),
    );
    t.diagnostic(JSON.stringify(last.output) + " in " + journal.length + " events");
    assert.equal(world.store.query.workflow.run(defaultTenant, run)?.status, last.status);
    // What waits for a step waits for its fallback, too.
    if (name === "retry") assert.equal(world.board.read("out/retry", undefined)?.value, "INSTEAD");
    if (name === "undone") {
      assert.equal(world.board.read("undo/first", undefined)?.value, "undone");
      assert.equal(world.board.read("undo/second", undefined)?.value, "undone");
    }
    world.stop();
    await world.store.close();
  });
}
