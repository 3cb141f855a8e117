/**
 * The shipped examples, planned against their own fleet file: the process dies at every write of the journal, at every
 * commit and at every acknowledgement of each. The analyst's words and the people are simulated.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../lib/clock.ts";
import type { Json } from "../../lib/json.ts";
import { planFacts } from "../../mesh/commands/plan.ts";
import { loadFleet } from "../../mesh/config/load.ts";
import { replay } from "../../mesh/workflow/engine/replay.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { loadWorkflow } from "../../mesh/workflow/load.ts";
import { isAllowed, planWorkflow } from "../../mesh/workflow/plan.ts";
import type { Delivery } from "../../protocol/door.ts";
import { runWith, type Scene } from "./workflow-crashes.ts";

const folder = fileURLToPath(new URL("../../examples/workflows", import.meta.url));
const facts = planFacts(loadFleet(join(folder, "cordon.yaml")), systemClock);
const texts = new Map(
  readdirSync(join(folder, "texts")).map((name) => [name, readFileSync(join(folder, "texts", name), "utf8")]),
);

/** The same to the same task, in which form it asks for. */
function answer({ body }: Delivery): string | undefined {
  if (body.startsWith("cancelled: task")) return undefined;
  if (body.includes("Judge this incident")) return '{"severity":"high","summary":"down"}';
  if (body.includes("Quote a price for rare")) return "I cannot say.";
  if (body.includes("Quote a price")) return '{"micro_usd":1200000,"note":"usual"}';
  return `an answer of ${body.length} characters`;
}

function sceneOf(file: string, input: Json): Scene {
  const compiled = loadWorkflow(join(folder, file));
  assert.ok(compiled.ok, file);
  const plan = planWorkflow(compiled.value, facts);
  assert.ok(isAllowed(plan), JSON.stringify(plan.findings));
  return { plan, input, world: { matrix: facts.matrix, texts, agents: ["analyst"], answer } };
}

/** Name, file, input and how it ends. Of a map that needs only some of its items, which those are may differ. */
const cases: readonly (readonly [file: string, input: Json, status: string])[] = [
  ["press-review.yaml", {}, "succeeded"],
  ["folder-digest.yaml", {}, "succeeded"],
  ["incident-triage.yaml", { service: "shop", message: "outage" }, "succeeded"],
  ["nightly-report.yaml", {}, "succeeded"],
  ["paused-research.yaml", { questions: ["one", "two", "three"] }, "succeeded"],
  ["order.yaml", { item: "rareprint", booking: 0 }, "succeeded"],
  ["order.yaml", { item: "chair", booking: 7 }, "failed"],
];

for (const [file, input, status] of cases) {
  test(`${file} ${JSON.stringify(input)}: a crash at every point changes nothing`, async (t) => {
    const scene = sceneOf(file, input);
    const comparable = ({ traces: { succeeded, ...rest } }: Awaited<ReturnType<typeof runWith>>) => ({
      ...rest,
      succeeded: file === "folder-digest.yaml" ? succeeded.filter((task) => !task.includes("[")) : succeeded,
    });
    const whole = await runWith(scene, Infinity);
    assert.equal(whole.traces.status, status, JSON.stringify(whole.traces));
    assert.ok(whole.points > 12, "there is something to enumerate");
    for (let point = 0; point < whole.points; point++) {
      const crashed = await runWith(scene, point);
      assert.deepEqual(comparable(crashed), comparable(whole), `crash at point ${point}`);
      const verdict = replay(scene.plan, crashed.journal, language);
      assert.ok(verdict.ok, `crash at point ${point}: ${JSON.stringify(verdict)}`);
    }
    t.diagnostic(`${whole.points} crashes`);
  });
}
