import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { Runaway, type RunawayLimits } from "./runaway.ts";

const BOUNDS: RunawayLimits = { identicalCalls: 3, identicalMs: 10_000, spendMicroUsd: 100, spendMs: 60_000 };

function world(bounds: Partial<RunawayLimits> = {}) {
  let nowMs = 5_000;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.reject(new Error("no")) };
  const runaway = new Runaway(clock, (agent) => (agent === "free" ? undefined : { ...BOUNDS, ...bounds }));
  const call = (body: string, agent = "a"): string => {
    const counted = runaway.call(agent, () => body);
    return typeof counted === "function" ? "made" : counted.kind;
  };
  return { runaway, call, pass: (ms: number) => (nowMs += ms) };
}

test("the same call is made so often and no more; another body, another agent and later times are others", () => {
  const { call, pass, runaway } = world();
  for (let i = 0; i < 3; i++) assert.equal(call("x"), "made");
  assert.equal(call("x"), "identical_calls");
  assert.equal(call("y"), "made");
  assert.equal(call("x", "b"), "made");
  for (let i = 0; i < 20; i++) assert.equal(call("x", "free"), "made");
  pass(10_000);
  assert.equal(call("x"), "made", "the old ones are forgotten");
  runaway.forget("a");
  for (let i = 0; i < 3; i++) assert.equal(call("x"), "made");
});

test("a call that was not made is not counted", () => {
  const { runaway, call } = world();
  for (let i = 0; i < 20; i++) {
    const counted = runaway.call("a", () => "x");
    assert.ok(typeof counted === "function");
    counted();
  }
  assert.equal(call("x"), "made");
});

test("calls that are refused at the same time are not counted either, and take no other with them", () => {
  const { runaway, call, pass } = world();
  for (let i = 0; i < 20; i++) {
    const counted = [runaway.call("a", () => "x"), runaway.call("a", () => "x"), runaway.call("a", () => "x")];
    for (const takeBack of counted) assert.ok(typeof takeBack === "function", `round ${i}`);
    for (const takeBack of counted) if (typeof takeBack === "function") takeBack();
  }
  const late = runaway.call("a", () => "x");
  pass(10_000);
  for (let i = 0; i < 3; i++) assert.equal(call("x"), "made");
  assert.ok(typeof late === "function");
  late();
  assert.equal(call("x"), "identical_calls", "what has been forgotten takes nothing back");
});

test("bodies beyond the bound push out the oldest only", () => {
  const { call } = world({ identicalCalls: 1 });
  call("x");
  for (let i = 0; i < limits.runaway.bodiesKnownMax - 1; i++) call(`other ${i}`);
  assert.equal(call("x"), "identical_calls");
  call("one more");
  assert.equal(call("other 0"), "made", "it was forgotten");
  assert.equal(call("x"), "identical_calls", "what is asked for again stays known");
});

test("spending is summed up over its time, and ends the agent above the bound", () => {
  const { runaway, pass } = world();
  assert.equal(runaway.spent("a", 60), undefined);
  pass(30_000);
  assert.equal(runaway.spent("a", 40), undefined);
  assert.equal(runaway.spent("b", 90), undefined);
  pass(15_000);
  assert.deepEqual(runaway.spent("a", 1), {
    kind: "spend",
    reason: "it spent $0.000101 within 60 s, and $0.0001 is its bound",
    within_ms: 60_000,
    seen: 101,
  });
  pass(30_000);
  assert.equal(runaway.spent("a", 59), undefined, "the first part is over");
  assert.equal(runaway.spent("a", 1)?.kind, "spend");
  assert.equal(world({ spendMicroUsd: null }).runaway.spent("a", 1e9), undefined);
  assert.equal(runaway.spent("free", 1e9), undefined);
});
