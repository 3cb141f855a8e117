/** Compiled workflows for simulations, written out without a file; each plan names all that its steps do. */
import type { Json } from "../../lib/json.ts";
import type { Expression, Plan, PlannedStep, Step, Task, Work, Workflow } from "../../mesh/workflow/definition.ts";
import { digestOfPlan } from "../../mesh/workflow/plan-digest.ts";

export const constant = (value: Json): Expression => ({ kind: "constant", value });
export const output = (name: string, ...path: string[]): Expression => ({
  kind: "reference",
  reference: { root: "step", name, path },
});
export const given = (...path: string[]): Expression => ({
  kind: "reference",
  reference: { root: "input", name: "", path },
});
export const item: Expression = { kind: "reference", reference: { root: "item", name: "item", path: [] } };
export const fields = (values: Readonly<Record<string, Expression>>): Expression => ({
  kind: "object",
  fields: Object.entries(values),
});
export const text = (...parts: (string | Expression)[]): Expression => ({
  kind: "text",
  parts: parts.map((part) =>
    typeof part === "string" ? part : part.kind === "reference" ? part.reference : part.kind,
  ),
});

export function task(work: Work, handed: Expression = constant({}), more: Partial<Task> = {}): Task {
  return {
    ...{ work, with: handed, input: null, output: null, timeoutMs: 600_000, accepts: "untrusted" },
    retry: { attempts: 1, backoffMs: 1_000, backoffMsMax: 60_000, jitter: 0.5 },
    budget: { tokens: null, microUsd: null, onBudget: "fail" },
    may: { tools: ["output.write"], blackboard: { read: ["**"], write: ["**"] }, message: [], reach: [] },
    ...more,
  };
}

export function step(id: string, needs: readonly string[], work: Task, more: Partial<Step> = {}): Step {
  return {
    ...work,
    ...{ id, needs, join: { kind: "all" }, when: null, onError: { kind: "fail" }, compensate: null, standby: null },
    priority: 0,
    ...more,
  };
}

export const agent = (words: Expression, handed?: Expression, more?: Partial<Task>): Task =>
  task({ kind: "agent", agent: "scribe", task: words }, handed, more);
export const boardWrite = (key: Expression, value: Expression): Task =>
  task({ kind: "tool", tool: "board.write", as: "scribe" }, fields({ key, value }));
export const publish = (topic: Expression, body: Expression): Task =>
  task({ kind: "tool", tool: "bus.publish", as: "scribe" }, fields({ topic, body }));
export const heard = (topic: Expression, more: { readonly from?: string; readonly after?: Expression } = {}): Task =>
  task({
    ...{ kind: "wait" },
    until: { kind: "topic", topic, after: more.after ?? null, from: more.from ?? null, as: "scribe" },
  });
export const outputWrite = (path: string, content: Expression): Task =>
  task({ kind: "tool", tool: "output.write", as: "scribe" }, fields({ path: constant(path), content }));

export function workflow(
  name: string,
  steps: readonly Step[],
  result: Expression,
  more: Partial<Workflow> = {},
): Workflow {
  return {
    ...{ version: 1, name, about: "", startedBy: ["person"], input: { type: "object" }, output: null, result, steps },
    budget: { tokens: null, microUsd: null, onBudget: "fail" },
    ...{ timeoutMs: 86_400_000, concurrency: null, priority: 0 },
    ...more,
  };
}

export function planOf(made: Workflow): Plan {
  const worst = { attempts: 1, calls: 0, tokens: 0, microUsd: 0 };
  const rest = {
    version: 1,
    fleet: "simulated",
    workflow: made,
    inputDigest: null,
    steps: plannedSteps(made, ""),
    worst,
  } as const;
  return { ...rest, digest: digestOfPlan(rest), findings: [] };
}

function plannedSteps(made: Workflow, path: string): PlannedStep[] {
  return made.steps.flatMap((each) => {
    const id = path === "" ? each.id : `${path}/${each.id}`;
    const inner = each.work.kind === "map" ? each.work.each.work : each.work;
    const lent = inner.kind === "wait" && "as" in inner.until ? inner.until.as : null;
    const who = inner.kind === "agent" ? inner.agent : inner.kind === "tool" ? inner.as : lent;
    const own: PlannedStep = {
      ...{ id, kind: each.work.kind, agent: who, destinations: [], credentials: [] },
      actions: [
        { verb: "board.write", target: "**", rule: "simulated" },
        { verb: "board.read", target: "**", rule: "simulated" },
        { verb: "board.list", target: "**", rule: "simulated" },
        { verb: "topic.publish", target: "**", rule: "simulated" },
        { verb: "topic.subscribe", target: "**", rule: "simulated" },
        { verb: "tool.call", target: "output.write", rule: "simulated" },
      ],
      worst: { attempts: 1, calls: 0, tokens: 0, microUsd: 0 },
    };
    return [own, ...(inner.kind === "workflow" ? plannedSteps(inner.workflow, id) : [])];
  });
}

const upper = (id: string, needs: readonly string[], words: Expression): Step => step(id, needs, agent(words));

/** Each reaches another part of the engine; all end in `succeeded` but the last, whose failure is undone. */
export const workflows: Readonly<Record<string, { readonly workflow: Workflow; readonly input: Json }>> = {
  chain: {
    workflow: workflow(
      "chain",
      [
        upper("draft", [], text("draft ", given("topic"))),
        step("store", ["draft"], boardWrite(constant("out/chain"), output("draft"))),
        upper("final", ["store"], text("final ", output("draft"), " ", output("store", "key"))),
        step("file", ["final"], outputWrite("chain.txt", output("final"))),
      ],
      fields({ final: output("final"), file: output("file", "path") }),
    ),
    input: { topic: "tides" },
  },
  diamond: {
    workflow: workflow(
      "diamond",
      [
        upper("a", [], text("a")),
        upper("b", ["a"], text("b ", output("a"))),
        step("c", ["a"], boardWrite(constant("out/c"), output("a"))),
        step("never", ["a"], agent(text("never")), {
          when: { source: "input.topic == 'nothing'", references: [{ root: "input", name: "", path: ["topic"] }] },
        }),
        step("d", ["b", "c", "never"], agent(text("d ", output("b"))), { join: { kind: "settled" } }),
      ],
      output("d"),
    ),
    input: { topic: "tides" },
  },
  map: {
    workflow: workflow(
      "map",
      [
        step(
          "each",
          [],
          task({
            ...{ kind: "map", over: given("names"), as: "item", join: { kind: "all" }, concurrency: 2, itemsMax: 10 },
            each: boardWrite(text("items/", item), text("value of ", item)),
          }),
        ),
        step(
          "some",
          ["each"],
          task({
            ...{
              kind: "map",
              over: given("names"),
              as: "item",
              join: { kind: "n", n: 2 },
              concurrency: 3,
              itemsMax: 10,
            },
            each: agent(text("some ", item)),
          }),
        ),
        upper("end", ["some"], text("end ", output("each", "0", "key"))),
      ],
      output("end"),
    ),
    input: { names: ["x", "y", "z"] },
  },
  retry: {
    workflow: workflow(
      "retry",
      [
        step(
          "flaky",
          [],
          agent(text("flaky"), constant({}), {
            retry: { attempts: 3, backoffMs: 1_000, backoffMsMax: 9_000, jitter: 0.5 },
          }),
        ),
        step("pause", ["flaky"], task({ kind: "wait", until: { kind: "duration", ms: 5_000 } })),
        step("broken", ["pause"], agent(text("fail")), { onError: { kind: "fallback", step: "instead" } }),
        step("instead", [], agent(text("instead")), { standby: { as: "fallback", owner: "broken" } }),
        step("end", ["broken"], boardWrite(constant("out/retry"), output("broken"))),
      ],
      fields({ flaky: output("flaky"), broken: output("broken") }),
    ),
    input: {},
  },
  joins: {
    workflow: workflow(
      "joins",
      [
        upper("quick", [], text("quick")),
        step(
          "late",
          [],
          agent(text("flaky"), constant({}), {
            retry: { attempts: 2, backoffMs: 4_000, backoffMsMax: 9_000, jitter: 0 },
          }),
        ),
        step("left_out", ["quick"], agent(text("left out")), {
          when: { source: "input.topic == 'nothing'", references: [{ root: "input", name: "", path: ["topic"] }] },
        }),
        step("first", ["quick", "late"], boardWrite(constant("out/first"), constant("first")), {
          join: { kind: "any" },
        }),
        step(
          "look",
          ["first"],
          task({ kind: "tool", tool: "board.read", as: "scribe" }, fields({ key: output("first", "key") })),
        ),
        step("two", ["quick", "left_out", "late"], agent(text("two ", output("late"))), { join: { kind: "n", n: 2 } }),
        upper("nor_this", ["left_out"], text("nor this")),
        step("end", ["look", "two", "nor_this"], agent(text("end ", output("look", "value"))), {
          join: { kind: "settled" },
        }),
      ],
      fields({ end: output("end"), two: output("two"), never: output("nor_this") }),
    ),
    input: { topic: "tides" },
  },
  nested: {
    workflow: workflow(
      "nested",
      [
        step(
          "child",
          [],
          task(
            {
              kind: "workflow",
              workflow: workflow(
                "inner",
                [
                  upper("one", [], text("one ", given("topic"))),
                  step("two", ["one"], boardWrite(constant("out/in"), output("one"))),
                ],
                output("one"),
              ),
            },
            fields({ topic: given("topic") }),
          ),
        ),
        upper("after", ["child"], text("after ", output("child"))),
      ],
      output("after"),
    ),
    input: { topic: "ferries" },
  },
  topics: {
    workflow: workflow(
      "topics",
      [
        step("ear", [], heard(constant("news/tides"), { from: "scribe" })),
        upper("draft", [], text("draft ", given("topic"))),
        step("say", ["draft"], publish(text("news/", given("topic")), output("draft"))),
        // What was said before it began is found by its position.
        step("echo", ["say"], heard(constant("news/tides"), { after: constant(0) })),
        step("end", ["ear", "echo"], boardWrite(constant("out/topics"), output("ear", "body"))),
      ],
      fields({ said: output("say", "position"), heard: output("ear", "position"), echo: output("echo", "body") }),
    ),
    input: { topic: "tides" },
  },
  undone: {
    workflow: workflow(
      "undone",
      [
        step("first", [], boardWrite(constant("undo/first"), constant("done")), { compensate: "un-first" }),
        step("second", ["first"], boardWrite(constant("undo/second"), constant("done")), { compensate: "un-second" }),
        step("third", ["second"], agent(text("fail")), { onError: { kind: "compensate" } }),
        step("un-first", [], boardWrite(constant("undo/first"), constant("undone")), {
          standby: { as: "compensate", owner: "first" },
        }),
        step("un-second", [], boardWrite(constant("undo/second"), constant("undone")), {
          standby: { as: "compensate", owner: "second" },
        }),
      ],
      constant(null),
    ),
    input: {},
  },
};
