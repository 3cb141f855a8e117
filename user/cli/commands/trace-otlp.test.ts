import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunTrace, TraceSpan } from "../../../protocol/run.ts";
import { otlpOf } from "./trace-otlp.ts";

const span = (more: Partial<TraceSpan>): TraceSpan => ({
  ...{ run: "run_a", task: "draft", attempt: 1, kind: "step", name: "draft", depth: 0, startMs: 10, endMs: 40 },
  ...{ end: "succeeded", tokens: 0, microUsd: 0 },
  ...more,
});
const trace: RunTrace = {
  run: {
    ...{ ordinal: 1, id: "run_a", workflow: "letter", plan: "d".repeat(64), parent: null, starter: "hook:alarm" },
    ...{ status: "failed", reason: "no", createdAtMs: 1_800_000_000_001, finishedAtMs: 1_800_000_000_900 },
  },
  spans: [
    span({}),
    span({
      kind: "model",
      name: "openrouter/meta/llama",
      depth: 1,
      startMs: 12,
      endMs: 30,
      end: "answered",
      tokens: 70,
      microUsd: 9,
    }),
    span({ kind: "tool", name: "files.read", depth: 1, end: "done" }),
    span({ task: "child", name: "child" }),
    span({ run: "run_b", task: "in", name: "in", depth: 1 }),
    span({ run: "run_b", task: "in", kind: "tool", name: "board.read", depth: 2, end: "done" }),
    span({ task: "last", name: "last", end: "timeout: not done within 5 ms", startMs: 50, endMs: null }),
    span({ task: "idle", name: "idle", end: "skipped: when" }),
  ],
};
const NOW = 1_800_000_009_000;
const spansOf = (traced: RunTrace) => otlpOf(traced, NOW).resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
const spans = spansOf(trace);
const named = (name: string) => spans.find((each) => each.name === name) ?? assert.fail(name);
const attribute = (name: string, key: string): unknown =>
  Object.values(named(name).attributes.find((each) => each.key === key)?.value ?? {})[0];

test("ids, times and kinds have the form of the protocol", () => {
  assert.equal(spans.length, trace.spans.length + 1);
  assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, spans.length);
  for (const { traceId, spanId, startTimeUnixNano, endTimeUnixNano, kind } of spans) {
    assert.match(traceId, /^[0-9a-f]{32}$/);
    assert.match(spanId, /^[0-9a-f]{16}$/);
    assert.ok(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano));
    assert.ok(kind === 1 || kind === 3);
  }
  // Beyond 2^53: to the nanosecond only as a text.
  assert.equal(named("draft").startTimeUnixNano, "1800000000011000000");
  assert.equal(named("last").endTimeUnixNano, `${NOW}000000`, "what is under way ends now");
  assert.deepEqual(spansOf(trace), spans, "the same run is the same trace");
});

test("each span hangs below what it belongs to", () => {
  const root = named("invoke_workflow letter");
  assert.equal(root.parentSpanId, undefined);
  const parents = [
    ["draft", "invoke_workflow letter"],
    ["chat meta/llama", "draft"],
    ["execute_tool files.read", "draft"],
    ["in", "child"],
    ["execute_tool board.read", "in"],
    ["last", "invoke_workflow letter"],
  ] as const;
  for (const [name, parent] of parents) assert.equal(named(name).parentSpanId, named(parent).spanId, name);
});

test("attributes have the names of the conventions, money and tokens those of our own", () => {
  assert.equal(attribute("invoke_workflow letter", "gen_ai.operation.name"), "invoke_workflow");
  assert.equal(attribute("invoke_workflow letter", "gen_ai.workflow.name"), "letter");
  assert.equal(attribute("invoke_workflow letter", "cordon.run.starter"), "hook:alarm");
  assert.equal(attribute("chat meta/llama", "gen_ai.operation.name"), "chat");
  assert.equal(attribute("chat meta/llama", "gen_ai.provider.name"), "openrouter");
  assert.equal(attribute("chat meta/llama", "gen_ai.request.model"), "meta/llama");
  assert.equal(attribute("chat meta/llama", "cordon.usage.tokens"), "70");
  assert.equal(attribute("chat meta/llama", "cordon.usage.micro_usd"), "9");
  assert.equal(named("chat meta/llama").kind, 3);
  assert.equal(attribute("execute_tool files.read", "gen_ai.tool.name"), "files.read");
});

test("what has failed says so, and with a word of few; what was left out is neither good nor bad", () => {
  assert.deepEqual(named("invoke_workflow letter").status, { code: 2, message: "no" });
  assert.deepEqual(named("last").status, { code: 2, message: "timeout: not done within 5 ms" });
  assert.equal(attribute("last", "error.type"), "timeout");
  assert.equal(attribute("last", "cordon.open"), true);
  assert.deepEqual(named("idle").status, { code: 0 });
  for (const name of ["draft", "chat meta/llama"]) assert.deepEqual(named(name).status, { code: 1 });
  assert.deepEqual(named("execute_tool files.read").status, { code: 1 });
});
