import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { systemClock } from "../../lib/clock.ts";
import { planFacts } from "../commands/plan.ts";
import { loadFleet } from "../config/load.ts";
import { loadWorkflow } from "./load.ts";
import { drawText } from "./picture.ts";
import { box, layOut } from "./picture-layout.ts";
import { drawPage } from "./picture-page.ts";
import { isAllowed, planWorkflow } from "./plan.ts";
import { compile, HEAD, planOf } from "./testing/plans.ts";

const examples = fileURLToPath(new URL("../../examples/workflows/", import.meta.url));

for (const name of ["press-review", "folder-digest", "incident-triage", "nightly-report", "paused-research", "order"]) {
  test(`the example ${name} may run, and its picture shows every step`, () => {
    const compiled = loadWorkflow(`${examples}${name}.yaml`);
    assert.ok(compiled.ok, compiled.ok ? "" : JSON.stringify(compiled.error));
    const plan = planWorkflow(compiled.value, planFacts(loadFleet(`${examples}cordon.yaml`), systemClock));
    assert.ok(isAllowed(plan), JSON.stringify(plan.findings));
    assert.ok(Number.isFinite(plan.worst.microUsd));
    const text = drawText(plan.workflow).join("\n");
    const page = drawPage(plan);
    for (const { id } of plan.workflow.steps) {
      assert.ok(text.includes(`│ ${id} `), id);
      assert.ok(page.includes(`>${id}</text>`), id);
    }
  });
}

test("what stands in a workflow is text on the page, never markup", () => {
  const evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>';
  const page = drawPage(
    planOf(`${HEAD}about: '${evil}'\nsteps: { a: { agent: clean, task: x, when: "input.a == '</title><script>'" } }`),
  );
  assert.ok(!page.includes("<script") && !page.includes("<img"));
  assert.match(page, /default-src 'none'/);
  assert.ok(!/<[a-z][^>]*\s(?:src|href)=|url\((?!#tip)/.test(page), "nothing is loaded");
});

test("no box lies on another, and every line goes down", () => {
  const graphs = fc.array(fc.array(fc.nat(20), { maxLength: 4 }), { minLength: 1, maxLength: 21 }).map((rows) =>
    rows.map((needs, index) => ({
      id: `n${index}`,
      needs: [...new Set(needs.filter((need) => need < index))].map((need) => `n${need}`),
    })),
  );
  fc.assert(
    fc.property(graphs, (nodes) => {
      const { boxes, lines, width, height } = layOut(nodes);
      assert.equal(boxes.size, nodes.length);
      const all = [...boxes.values()];
      all.forEach((a, i) => {
        assert.ok(a.x - box.width / 2 >= 0 && a.x + box.width / 2 <= width && a.y + box.height / 2 <= height);
        for (const b of all.slice(i + 1)) assert.ok(a.y !== b.y || Math.abs(a.x - b.x) >= box.width);
      });
      assert.equal(
        lines.length,
        nodes.reduce((sum, { needs }) => sum + needs.length, 0),
      );
      for (const { points } of lines) {
        points.slice(1).forEach((point, index) => assert.ok(point.y > (points[index]?.y ?? 0)));
        // Through a level the line goes straight down, beside all boxes of that level.
        for (const { x, y } of points.slice(1, -1))
          assert.ok(
            all.every((each) => Math.abs(each.y - y) > box.height / 2 || Math.abs(each.x - x) >= box.width / 2),
          );
      }
    }),
    { seed: 5, numRuns: 300 },
  );
});

test("a wide level is broken over several rows of text", () => {
  const steps = Array.from({ length: 30 }, (_, i) => `  step_${i}: { agent: clean, task: x }`).join("\n");
  const lines = drawText(compile(`${HEAD}steps:\n${steps}\n`).workflow);
  assert.ok(lines.every((line) => line.length <= 102));
  assert.equal(lines.join("\n").match(/step_\d+/g)?.length, 30);
});
