/** Joins and the order of a workflow's steps, by the pure part of the engine: every answer against what is counted out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { advance, unborn } from "../../mesh/workflow/engine/advance.ts";
import { decideNext } from "../../mesh/workflow/engine/decide-next.ts";
import type { RunEvent } from "../../mesh/workflow/engine/event.ts";
import { ended, itemKey, type RunState } from "../../mesh/workflow/engine/state.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import type { Step, Workflow } from "../../mesh/workflow/definition.ts";
import { unlabelled } from "../../protocol/label.ts";
import { constant, given, item, outputWrite, step, task, text, workflow } from "./workflow-plans.ts";

/** A run whose every event is applied as the engine would, at a time of its own. */
class Run {
  state: RunState = unborn;
  readonly #workflow: Workflow;

  constructor(made: Workflow, input: { readonly [name: string]: number[] } = {}) {
    this.#workflow = made;
    this.apply({ kind: "run.started", run: "run_1", plan: "p", path: "", input, label: unlabelled });
  }
  apply(event: RunEvent): void {
    const { seq, atMs } = this.state;
    this.state = advance(this.#workflow, this.state, { seq: seq + 1, atMs: atMs + 1, event });
  }
  /** One answer of the engine, applied. */
  next(): readonly RunEvent[] {
    const { events } = decideNext(this.#workflow, this.state, this.state.atMs, language);
    for (const event of events) this.apply(event);
    return events;
  }
  running(): string[] {
    return [...this.state.tasks].filter(([, { phase }]) => phase === "running").map(([key]) => key);
  }
  report(key: string, succeeds: boolean): void {
    const attempt = this.state.tasks.get(key)?.attempt ?? 0;
    this.apply(
      succeeds
        ? { kind: "step.succeeded", task: key, attempt, output: key, label: unlabelled }
        : { kind: "step.failed", task: key, attempt, code: "work", reason: "broken" },
    );
  }
}

const once = { retry: { attempts: 1, backoffMs: 1, backoffMsMax: 1, jitter: 0 } };

interface Drawn {
  readonly needs: readonly number[];
  readonly join: number;
  readonly priority: number;
}
const STEPS = 7;
const drawn = fc.array(
  fc.record({
    needs: fc.uniqueArray(fc.nat(STEPS - 1), { maxLength: 4 }),
    join: fc.nat(5),
    priority: fc.integer({ min: 0, max: 2 }),
  }),
  { minLength: 1, maxLength: STEPS },
);

function joinOf(kind: number, needs: number): Step["join"] {
  if (kind === 0) return { kind: "settled" };
  if (kind === 1) return { kind: "any" };
  if (kind === 2) return { kind: "all" };
  return { kind: "n", n: Math.max(1, Math.min(needs, kind - 1)) };
}

function stepsOf(list: readonly Drawn[]): Step[] {
  return list.map(({ needs, join, priority }, at) => {
    const before = needs.filter((need) => need < at).map((need) => `s${need}`);
    const more = { join: joinOf(join, before.length), priority, onError: { kind: "skip" } as const, ...once };
    return step(`s${at}`, before, outputWrite("a", constant("")), more);
  });
}

/** What `needs` have come to: true, false, or not yet. */
type Outcomes = readonly (boolean | undefined)[];
function holds(join: Step["join"], outcomes: Outcomes): boolean {
  if (outcomes.length === 0) return true;
  if (join.kind === "settled") return outcomes.every((outcome) => outcome !== undefined);
  const good = outcomes.filter((outcome) => outcome === true).length;
  return good >= (join.kind === "all" ? outcomes.length : join.kind === "any" ? 1 : join.n);
}
/** By trying every way in which what is open may end. */
function canHold(join: Step["join"], outcomes: Outcomes): boolean {
  const open = outcomes.indexOf(undefined);
  if (open < 0) return holds(join, outcomes);
  return [true, false].some((outcome) => canHold(join, outcomes.with(open, outcome)));
}
const outcomesOf = (state: RunState, { needs }: Step): Outcomes =>
  needs.map((id) => (ended(state.tasks.get(id)) ? state.tasks.get(id)?.phase === "succeeded" : undefined));

test("a step starts as soon as its join holds, never before; it is skipped when that cannot be any more; the urgent first", () => {
  fc.assert(
    fc.property(drawn, fc.array(fc.tuple(fc.nat(100), fc.boolean()), { maxLength: 40 }), (list, reports) => {
      const steps = stepsOf(list);
      const run = new Run(workflow("joins", steps, constant(null)));
      const settle = (): void => {
        for (;;) {
          const before = run.state;
          const events = run.next();
          if (events.length === 0) break;
          const begun = events.flatMap((event) => (event.kind === "step.started" ? [event.task] : []));
          const order = begun.map((id) => steps.findIndex((each) => each.id === id));
          const urgent = order.toSorted((a, b) => (steps[b]?.priority ?? 0) - (steps[a]?.priority ?? 0) || a - b);
          assert.deepEqual(order, urgent);
          for (const each of steps) {
            if (before.tasks.has(each.id)) continue;
            const found = events.find((event) => "task" in event && event.task === each.id)?.kind;
            const outcomes = outcomesOf(before, each);
            const wanted = holds(each.join, outcomes) ? "step.started" : "step.skipped";
            assert.equal(found, canHold(each.join, outcomes) && wanted === "step.skipped" ? undefined : wanted);
          }
        }
      };
      settle();
      for (const [pick, succeeds] of [...reports, ...Array.from({ length: STEPS }, () => [0, true] as const)]) {
        const running = run.running();
        const key = running[pick % Math.max(1, running.length)];
        if (key === undefined) break;
        run.report(key, succeeds);
        settle();
      }
      assert.equal(run.state.status, "succeeded");
      for (const { id } of steps) assert.ok(ended(run.state.tasks.get(id)));
    }),
    { seed: 61, numRuns: 400 },
  );
});

test("a map begins its items in order, so many at a time; ends with the n-th success, or when n cannot be reached", () => {
  fc.assert(
    fc.property(
      fc.record({ items: fc.integer({ min: 1, max: 8 }), n: fc.integer({ min: 1, max: 8 }), kind: fc.nat(2) }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.tuple(fc.nat(100), fc.boolean()), { minLength: 8, maxLength: 8 }),
      ({ items, n, kind }, concurrency, reports) => {
        const wanted = kind === 0 ? items : kind === 1 ? 1 : Math.min(n, items);
        const join: Exclude<Step["join"], { kind: "settled" }> =
          kind === 0 ? { kind: "all" } : kind === 1 ? { kind: "any" } : { kind: "n", n: wanted };
        const work = { kind: "map", over: given("names"), as: "item", join, concurrency, itemsMax: 10 } as const;
        const each = { ...outputWrite("a", text("", item)), ...once };
        const map = step("m", [], task({ ...work, each }), { onError: { kind: "skip" }, ...once });
        const run = new Run(workflow("map", [map], constant(null)), {
          names: Array.from({ length: items }, (_, i) => i),
        });
        const begun: string[] = [];
        const count = { good: 0, bad: 0 };
        const settle = (): void => {
          for (let events = run.next(); events.length > 0; events = run.next())
            for (const event of events) if (event.kind === "step.started" && event.task !== "m") begun.push(event.task);
        };
        settle();
        for (const [pick, succeeds] of reports) {
          const running = run.running().filter((key) => key !== "m");
          const over = count.good >= wanted || items - count.bad < wanted;
          assert.equal(running.length, over ? 0 : Math.min(concurrency, items - count.good - count.bad));
          assert.deepEqual(
            begun,
            begun.map((_, at) => itemKey("m", at)),
          );
          const key = running[pick % Math.max(1, running.length)];
          if (key === undefined) break;
          run.report(key, succeeds);
          count[succeeds ? "good" : "bad"]++;
          settle();
        }
        const phase = run.state.tasks.get("m")?.phase;
        assert.equal(phase, count.good >= wanted ? "succeeded" : "skipped");
        const output = run.state.tasks.get("m")?.output;
        if (phase !== "succeeded" || !Array.isArray(output)) return;
        assert.deepEqual(
          output.map((value) => value !== null),
          Array.from({ length: items }, (_, at) => run.state.tasks.get(itemKey("m", at))?.phase === "succeeded"),
        );
        assert.equal(output.filter((value) => value !== null).length, wanted);
      },
    ),
    { seed: 62, numRuns: 400 },
  );
});
