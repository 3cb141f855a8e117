/** The process dies at every write of the journal, at every commit and at every acknowledgement, one after the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { replay } from "../../mesh/workflow/engine/replay.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { runWith } from "./workflow-crashes.ts";
import { planOf, workflows } from "./workflow-plans.ts";

let total = 0;
for (const name of Object.keys(workflows)) {
  test(`workflow ${name}: a crash at every point changes nothing`, async (t) => {
    const { workflow, input } = workflows[name] ?? assert.fail();
    const scene = { plan: planOf(workflow), input };
    const whole = await runWith(scene, Infinity);
    assert.ok(whole.points > 20, "there is something to enumerate");
    for (let point = 0; point < whole.points; point++) {
      const crashed = await runWith(scene, point);
      assert.deepEqual(crashed.traces, whole.traces, `crash at point ${point}`);
      const verdict = replay(scene.plan, crashed.journal, language);
      assert.ok(verdict.ok, `crash at point ${point}: ${JSON.stringify(verdict)}`);
      total++;
    }
    t.diagnostic(`${whole.points} crashes, ${total} so far`);
  });
}
