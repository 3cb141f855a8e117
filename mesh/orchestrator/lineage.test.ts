import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { Lineage } from "./lineage.ts";

test("what has gone from an agent's hands is forgotten after its time, also where the agent never asks", () => {
  let nowMs = 0;
  const lineage = new Lineage({ nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.resolve() });
  const open = { task: "tsk_open", depth: 3, chain: ["boss", "worker"] };
  lineage.holds("worker", open);
  const stepMs = limits.task.lineageMs / 100;
  for (let n = 0; n < 5_000; n++, nowMs += stepMs) {
    const origin = { task: `tsk_${n}`, depth: 0, chain: ["boss", "worker"] };
    lineage.holds("worker", origin);
    lineage.releases("worker", origin, nowMs);
    assert.ok(lineage.size <= 102, `${lineage.size} after ${n} tasks`);
  }
  assert.equal(lineage.of("worker")?.depth, 3, "what is still in its hands is not forgotten");
  lineage.releases("worker", open, nowMs);
  assert.equal(lineage.of("worker")?.depth, 3, "nor what was until a moment ago");
  nowMs += limits.task.lineageMs;
  assert.equal(lineage.of("worker"), undefined);
  assert.equal(lineage.size, 0);
});
