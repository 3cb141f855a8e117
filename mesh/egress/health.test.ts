import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { Balance } from "./balance.ts";
import { Circuits, type CircuitChange } from "./health.ts";
import { retryAfterMs } from "./retry-after.ts";

const ROUTE = { provider: "p", model: "m", credential: "a" };
const { circuitFailures, circuitOpenMs, circuitOpenMsMax } = limits.model;
const BAD = { kind: "bad", reason: "status 500" } as const;

function world(random = 1 - 2 ** -32) {
  const changes: CircuitChange[] = [];
  let nowMs = 1_000;
  const clock = { nowMs: () => 1e12 + nowMs, monotonicMs: () => nowMs, sleep: () => Promise.reject(new Error("no")) };
  const circuits = new Circuits(
    clock,
    () => random,
    (change) => changes.push(change),
  );
  const fail = (times: number): void => {
    for (let i = 0; i < times; i++) circuits.begin(ROUTE)(BAD);
  };
  return {
    circuits,
    changes,
    fail,
    pass: (ms: number) => (nowMs += ms),
    states: () => changes.map(({ state }) => state),
  };
}

test("a circuit opens after failures in a row, lets one call try, and closes when that is answered", () => {
  const { circuits, fail, pass, states, changes } = world();
  fail(circuitFailures - 1);
  circuits.begin(ROUTE)({ kind: "good" });
  fail(circuitFailures - 1);
  circuits.begin(ROUTE)({ kind: "neutral" });
  assert.deepEqual(states(), [], "an answer in between ends the row, and a fault of the agent is none");
  assert.equal(circuits.failuresOf(ROUTE), circuitFailures - 1);
  fail(1);
  assert.deepEqual(states(), ["open"]);
  assert.deepEqual(circuits.open, [ROUTE]);
  assert.equal(changes[0]?.untilMs, Math.round(1e12 + 1_000 + circuitOpenMs * (1 - 2 ** -33)));
  assert.equal(circuits.failuresOf(ROUTE), Infinity);
  assert.equal(circuits.failuresOf({ ...ROUTE, credential: "b" }), 0, "another credential has its own");
  assert.equal(circuits.failuresOf({ ...ROUTE, model: "n" }), 0, "so has another model");
  pass(circuitOpenMs);
  assert.equal(circuits.failuresOf(ROUTE), circuitFailures);
  const probe = circuits.begin(ROUTE);
  assert.equal(circuits.failuresOf(ROUTE), Infinity, "one call tries, and no second one");
  probe({ kind: "good" });
  probe(BAD);
  assert.deepEqual(states(), ["open", "half_open", "closed"]);
  assert.equal(circuits.failuresOf(ROUTE), 0);
  assert.deepEqual(circuits.open, []);
});

test("each probe that fails opens it for twice as long, up to a bound; one that says nothing frees the place", () => {
  const { circuits, fail, pass, changes } = world();
  fail(circuitFailures);
  const pauses: number[] = [];
  for (let i = 0; i < 10; i++) {
    pass(2 * circuitOpenMsMax);
    circuits.begin(ROUTE)({ kind: "neutral" });
    assert.notEqual(circuits.failuresOf(ROUTE), Infinity, "the next call may try");
    const before = changes.length;
    circuits.begin(ROUTE)(BAD);
    const opened = changes.slice(before).find(({ state }) => state === "open");
    pauses.push(circuits.failuresOf(ROUTE) === Infinity ? (opened?.untilMs ?? 0) : -1);
  }
  const gaps = pauses.map((until, index) => until - 1e12 - 1_000 - 2 * circuitOpenMsMax * (index + 1));
  assert.deepEqual(
    gaps.map((gap) => Math.round(gap / 1_000)),
    [10, 20, 40, 80, 160, 300, 300, 300, 300, 300],
  );
});

test("a provider that says when to come back is believed at once, with a jitter and up to a bound", () => {
  for (const [random, most] of [
    [0, 1.005],
    [0.999, 1.011],
  ] as const) {
    const { circuits, pass } = world(random);
    circuits.begin(ROUTE)({ ...BAD, retryAfterMs: 60_000 });
    assert.equal(circuits.failuresOf(ROUTE), Infinity);
    pass(60_000);
    assert.equal(circuits.failuresOf(ROUTE), Infinity, "never earlier than it said");
    pass(60_000 * (most - 1) + 1);
    assert.equal(circuits.failuresOf(ROUTE), 1);
  }
});

test("calls that were under way when it opened do not shorten or lengthen the pause", () => {
  const { circuits, changes, pass } = world();
  const running = Array.from({ length: 10 }, () => circuits.begin(ROUTE));
  for (const end of running) end(BAD);
  assert.equal(changes.length, 1);
  pass(circuitOpenMs);
  assert.notEqual(circuits.failuresOf(ROUTE), Infinity);
});

test("`Retry-After` in seconds and as a date; what is neither is nothing", () => {
  const nowMs = Date.parse("2026-11-22T10:00:00Z");
  for (const [value, ms] of [
    ["0", 0],
    ["7", 7_000],
    ["Sun, 22 Nov 2026 10:01:30 GMT", 90_000],
    ["Sun, 22 Nov 2026 09:00:00 GMT", 0],
    ["99999999", limits.model.retryAfterMsMax],
    ["Sun, 22 Nov 2099 10:00:00 GMT", limits.model.retryAfterMsMax],
    ...[
      undefined,
      "",
      "-1",
      "1.5",
      "soon",
      "1e3",
      "2026-11-22T10:01:30Z",
      "99999999999",
      "Sun, 22 Nov 2026 10:01:30",
    ].map((text) => [text, undefined] as const),
  ] as const)
    assert.equal(retryAfterMs(value, nowMs), ms, String(value));
});

test("credentials take turns; one that fails gets fewer calls, one that is shut comes last", () => {
  const balance = new Balance(10);
  const failures: Record<string, number> = { a: 0, b: 0, c: 0 };
  const order = (): string[] => balance.order("p/m", ["a", "b", "c"], (name) => failures[name] ?? 0);
  const firsts = (calls: number): Record<string, number> => {
    const count: Record<string, number> = { a: 0, b: 0, c: 0 };
    for (let i = 0; i < calls; i++) count[order()[0] ?? ""]!++;
    return count;
  };
  assert.deepEqual(firsts(30), { a: 10, b: 10, c: 10 });
  failures["a"] = 1;
  assert.deepEqual(firsts(50), { a: 10, b: 20, c: 20 });
  failures["a"] = Infinity;
  assert.deepEqual(firsts(30), { a: 0, b: 15, c: 15 });
  assert.equal(order().at(-1), "a");
  assert.deepEqual(order().toSorted(), ["a", "b", "c"], "all stay to be tried");
  assert.deepEqual(
    balance.order("p/m", ["x"], () => Infinity),
    ["x"],
  );
});
