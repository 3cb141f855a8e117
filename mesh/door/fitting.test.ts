import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ok } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { fitting } from "./fitting.ts";
import type { DoorServices } from "./services.ts";
import { listTasks } from "./task-call.ts";
import { replies } from "./topic-call.ts";

const MAX = limits.tool.resultBytesMax;
const label = { integrity: "agent", confidentiality: "internal", sources: [] };
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

test("as many rows as fit, in their order, and never none", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(MAX), { maxLength: 20 }), (lengths) => {
      const rows = lengths.map((length) => "x".repeat(length));
      const kept = fitting(rows);
      assert.deepEqual(kept, rows.slice(0, kept.length));
      const sum = (count: number): number => rows.slice(0, count).reduce((bytes, row) => bytes + row.length + 2, 0);
      assert.ok(kept.length === Math.min(1, rows.length) || sum(kept.length) <= MAX);
      assert.ok(kept.length === rows.length || sum(kept.length + 1) > MAX);
    }),
    { seed: 9, numRuns: 200 },
  );
});

test("what agents have stored does not add up to an answer of any size", async () => {
  // One character of it is six bytes in an answer.
  const text = "\u0001".repeat(limits.task.resultBytesMax);
  const tasks = Array.from({ length: limits.task.listTasksMax }, (_, n) => ({ id: `tsk_${n}`, result: text, label }));
  const found = Array.from({ length: limits.topic.repliesMax }, (_, n) => ({ responder: `r${n}`, body: text, label }));
  const services = {
    halted: () => undefined,
    matrix: new Map([["a", { tools: ["task.list"], topics: { publish: ["t"], subscribe: [] } }]]),
    audit: { record: () => Promise.resolve() },
    tasks: { list: () => tasks },
    requests: { replies: () => Promise.resolve(ok(found)) },
  } as unknown as DoorServices;
  const caller = { agent: "a", sandbox: "s" };
  const listed = await listTasks(services, caller);
  const told = await replies(services, caller, { topic: "t", request: "evt_a" }, new AbortController().signal);
  for (const answer of [listed, told]) {
    assert.ok(answer.ok);
    const rows = Object.values(answer.value.result as object).flat();
    assert.ok(rows.length > 0);
    assert.ok(bytesOf(answer.value.result) < MAX + 4_096, `${bytesOf(answer.value.result)} bytes`);
  }
});
