/** What a step is handed carries the labels of all that it can have come from. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { unborn } from "../../mesh/workflow/engine/advance.ts";
import { labelFor } from "../../mesh/workflow/engine/context.ts";
import type { RunState, TaskState } from "../../mesh/workflow/engine/state.ts";
import { TaskTable } from "../../mesh/workflow/engine/task-table.ts";
import type { Label } from "../../protocol/label.ts";
import { agent, constant, step, workflow } from "./workflow-plans.ts";

const asked: Label = { integrity: "user", confidentiality: "internal", sources: ["principal:operator"] };
const tainted: Label = { integrity: "untrusted", confidentiality: "internal", sources: ["web:example"] };
const work = agent(constant("x"));
const made = workflow(
  "labels",
  [
    step("read", [], work),
    step("looked", ["read"], work),
    step("then", ["looked"], work, { join: { kind: "settled" } }),
    step("aside", [], work),
    step("stand", [], work, { standby: { as: "fallback", owner: "aside" } }),
  ],
  constant(null),
);

function stateOf(labels: Readonly<Record<string, Label | null>>): RunState {
  const idle: Omit<TaskState, "label"> = {
    ...{ phase: "skipped", attempt: 0, base: 0, sinceMs: 0, retryAtMs: 0, input: null, output: null },
    ...{ effect: null, code: null, reason: "", endedSeq: 0, raise: unborn.raise },
  };
  let tasks = TaskTable.none;
  for (const [id, label] of Object.entries(labels)) tasks = tasks.with(id, { ...idle, label });
  return { ...unborn, label: asked, tasks };
}
const integrity = (id: string, state: RunState): string => {
  const found = made.steps.find((each) => each.id === id);
  assert.ok(found);
  return labelFor(made, state, found).integrity;
};

test("a step that was skipped for what it has seen lets that through to those behind it, and to nobody else", () => {
  const state = stateOf({ read: tainted, looked: null });
  assert.equal(integrity("looked", state), "untrusted");
  // Whether `looked` was skipped depended on what `read` has brought.
  assert.equal(integrity("then", state), "untrusted");
  assert.equal(integrity("aside", state), "user");
  assert.equal(integrity("read", state), "user");
  // A fallback may refer to every step.
  assert.equal(integrity("stand", state), "untrusted");
  // The same workflow in another run.
  assert.equal(integrity("then", stateOf({ read: null, looked: null })), "user");
});
