import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { unborn } from "./advance.ts";
import { ended, itemKey, type TaskState } from "./state.ts";
import { TaskTable } from "./task-table.ts";

const phases = ["idle", "running", "backoff", "held", "succeeded", "failed", "skipped", "cancelled"] as const;
const taskOf = (phase: TaskState["phase"], attempt: number): TaskState => ({
  ...{ phase, attempt, base: 0, sinceMs: 0, retryAtMs: 0, input: null, label: null, output: null },
  ...{ effect: null, code: null, reason: "", endedSeq: 0, raise: unborn.raise },
});

test("a table says what a plain map would, and those before it say what they said", () => {
  const change = fc.record({ at: fc.nat(400), phase: fc.constantFrom(...phases), attempt: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 1_500 }), (changes) => {
      const plain = new Map<string, TaskState>();
      let table = TaskTable.none;
      const kept: { readonly table: TaskTable; readonly entries: [string, TaskState][] }[] = [];
      for (const [n, { at, phase, attempt }] of changes.entries()) {
        // Some are steps; the others items of two maps.
        const key = at < 20 ? `s${at}` : itemKey(at % 2 === 0 ? "even" : "odd", at >> 1);
        const task = taskOf(phase, attempt);
        plain.set(key, task);
        table = table.with(key, task);
        if (n % 97 === 0) kept.push({ table, entries: [...plain] });
      }
      kept.push({ table, entries: [...plain] });
      for (const { table: then, entries } of kept) {
        assert.deepEqual([...then], entries);
        const open = entries.flatMap(([key, task]) => (ended(task) ? [] : [key]));
        assert.deepEqual([...then.open].toSorted(), open.toSorted());
        for (const step of ["even", "odd"]) {
          const items = entries.filter(([key]) => key.startsWith(`${step}[`)).map(([, { phase }]) => phase);
          const count = (...wanted: string[]): number => items.filter((phase) => wanted.includes(phase)).length;
          assert.deepEqual(then.itemsOf(step), {
            known: items.length,
            running: count("running"),
            succeeded: count("succeeded"),
            lost: count("failed", "skipped", "cancelled"),
          });
        }
      }
    }),
    { seed: 20_261_122, numRuns: 60 },
  );
});
