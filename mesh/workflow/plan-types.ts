import { z } from "zod";
import type { Json } from "../../lib/json.ts";
import { toolArguments } from "../../protocol/door.ts";
import type { Path } from "../config/source.ts";
import type { Expression, JsonSchema, Reference, Step, Task, Workflow } from "./definition.ts";
import type { Compiled } from "./parse.ts";
import type { Places } from "./places.ts";
import { showReference } from "./reference.ts";
import { misfit } from "./schema-fit.ts";
import { anything, arrayOf, memberOf, nullable, objectOf, typeOfConstant, typesOf, type Type } from "./schema-type.ts";
import { toolResults } from "./tool-result.ts";

/** Types of all data before a run: every reference leads somewhere, and what is handed over fits where it goes. */
export function checkTypes({ workflow, places }: Compiled): void {
  new Checker(workflow, places).check();
}

interface Names {
  readonly steps: ReadonlyMap<string, Type>;
  readonly item?: { readonly name: string; readonly type: Type };
}

class Checker {
  readonly #workflow: Workflow;
  readonly #places: Places;

  constructor(workflow: Workflow, places: Places) {
    this.#workflow = workflow;
    this.#places = places;
  }

  check(): void {
    const outputs = new Map<string, Type>();
    const byId = new Map(this.#workflow.steps.map((step) => [step.id, step]));
    const owners = new Map(this.#workflow.steps.map((step) => [step.id, this.#outputOf(step, byId)]));
    const certain = certainSteps(this.#workflow.steps);
    for (const step of this.#workflow.steps) {
      const known = certain(step);
      for (const [id, type] of owners) outputs.set(id, known.has(id) ? type : nullable(type));
      this.#task(["steps", step.id], step, { steps: outputs });
      for (const reference of step.when?.references ?? []) this.#conditionReference(step, reference, outputs);
    }
    for (const [id, type] of owners) outputs.set(id, certain(null).has(id) ? type : nullable(type));
    const type = this.#typeOf(this.#workflow.result, ["result"], { steps: outputs });
    if (type && this.#workflow.output) this.#fits(type, this.#workflow.output, ["result"], "the result", "`output`");
  }

  #task(at: Path, task: Task, names: Names): void {
    const given = this.#typeOf(task.with, [...at, "with"], names);
    if (given && task.input) this.#fits(given, task.input, [...at, "with"], "`with`", "the step's `input`");
    const { work } = task;
    if (work.kind === "agent") this.#typeOf(work.task, [...at, "task"], names);
    if (work.kind === "approve") this.#typeOf(work.ask, [...at, "approve", "ask"], names);
    if (work.kind === "workflow" && given)
      this.#fits(given, work.workflow.input, [...at, "with"], "`with`", `the \`input\` of \`${work.workflow.name}\``);
    if (work.kind === "tool") this.#tool(at, task, given);
    if (work.kind === "wait" && work.until.kind === "time") this.#text(work.until.at, [...at, "wait", "until"], names);
    if (work.kind === "wait" && work.until.kind === "board")
      this.#text(work.until.key, [...at, "wait", "board"], names);
    if (work.kind === "wait" && work.until.kind === "topic") {
      this.#text(work.until.topic, [...at, "wait", "topic"], names);
      if (work.until.after) this.#position(work.until.after, [...at, "wait", "after"], names);
    }
    if (work.kind === "map") this.#map([...at, "map"], work, names);
  }

  #map(at: Path, work: Extract<Task["work"], { kind: "map" }>, names: Names): void {
    const over = this.#typeOf(work.over, [...at, "over"], names);
    if (!over) return;
    this.#fits(over, { type: "array" }, [...at, "over"], "`over`", "a map");
    const items = over["items"];
    const type = items === undefined ? anything : (items as Type);
    this.#task([...at, "each"], work.each, { ...names, item: { name: work.as, type } });
  }

  #tool(at: Path, { work, output }: Task, given: Type | undefined): void {
    if (work.kind !== "tool") return;
    const wanted = argumentsOf(work.tool);
    if (given) this.#fits(given, wanted, [...at, "with"], "`with`", `the tool \`${work.tool}\``);
    const result = toolResults[work.tool];
    if (output && result) this.#fits(result, output, [...at, "output"], `what \`${work.tool}\` gives`, "`output`");
  }

  #text(expression: Expression, at: Path, names: Names): void {
    const type = this.#typeOf(expression, at, names);
    if (type) this.#fits(type, { type: "string" }, at, "it", "this place");
  }

  #position(expression: Expression, at: Path, names: Names): void {
    const type = this.#typeOf(expression, at, names);
    if (type) this.#fits(type, { type: "integer" }, at, "it", "a position");
  }

  #fits(has: Type, wants: JsonSchema, at: Path, what: string, where: string): void {
    const fault = misfit(has, wants);
    if (fault !== undefined)
      this.#places.error(
        "type",
        at,
        `${what} does not fit ${where}: ${fault}`,
        "hand over what is wanted, or correct the schema",
      );
  }

  /** A condition asks for null itself, so a value that can be null is no fault there; a name that leads nowhere is. */
  #conditionReference(step: Step, reference: Reference, steps: ReadonlyMap<string, Type>): void {
    let type = this.#rootOf(reference, { steps });
    for (const name of reference.path) {
      const member: ReturnType<typeof memberOf> = type ? memberOf(withoutNull(type), name) : "missing";
      if (member === "missing") {
        const path = ["steps", step.id, "when"];
        return this.#places.error(
          "type",
          path,
          `\`${showReference(reference)}\`: there is no \`${name}\``,
          "correct the name, or declare it in the schema",
        );
      }
      if (typeof member === "string") return;
      type = member;
    }
  }

  /** Undefined after a finding. */
  #typeOf(expression: Expression, at: Path, names: Names): Type | undefined {
    switch (expression.kind) {
      case "constant":
        return typeOfConstant(expression.value);
      case "reference":
        return this.#resolve(expression.reference, at, names);
      case "text": {
        const parts = expression.parts.map((part) =>
          typeof part === "string" ? anything : this.#resolve(part, at, names),
        );
        return parts.includes(undefined) ? undefined : { type: "string" };
      }
      case "list": {
        const items = expression.items.map((item) => this.#typeOf(item, at, names));
        return items.includes(undefined) ? undefined : arrayOf(items as Type[]);
      }
      case "object": {
        const fields = expression.fields.map(([name, item]) => [name, this.#typeOf(item, at, names)] as const);
        return fields.some(([, type]) => type === undefined) ? undefined : objectOf(fields as [string, Type][]);
      }
    }
  }

  #resolve(reference: Reference, at: Path, names: Names): Type | undefined {
    let type = this.#rootOf(reference, names);
    for (const name of reference.path) {
      const member: ReturnType<typeof memberOf> = type ? memberOf(type, name) : "missing";
      if (typeof member === "string") {
        const shown = `\`${showReference(reference)}\``;
        const [message, fix] = {
          missing: [`${shown}: there is no \`${name}\``, "correct the name, or declare it in the schema"],
          absent: [`${shown}: \`${name}\` need not be there`, `add \`${name}\` to \`required\` of the schema`],
          null: [
            `${shown} can be null before \`${name}\``,
            "let this step need all that it refers to, without `on_error: skip`, `when` or other joins before it",
          ],
        }[member] as [string, string];
        this.#places.error("type", at, message, fix);
        return undefined;
      }
      type = member;
    }
    return type;
  }

  #rootOf({ root, name }: Reference, { steps, item }: Names): Type | undefined {
    if (root === "input") return this.#workflow.input;
    if (root === "run") return objectOf([["id", { type: "string" }]]);
    return root === "step" ? steps.get(name) : item?.name === name ? item.type : undefined;
  }

  #outputOf(step: Step, byId: ReadonlyMap<string, Step>): Type {
    const own = outputOfTask(step);
    if (step.onError.kind !== "fallback") return own;
    const fallback = byId.get(step.onError.step);
    return fallback ? { anyOf: [own, outputOfTask(fallback)] } : own;
  }
}

/** What a task that has succeeded gives. */
export function outputOfTask({ work, output }: Task): Type {
  switch (work.kind) {
    case "agent":
      return output ?? { type: "string" };
    case "tool":
      return output ?? toolResults[work.tool] ?? anything;
    case "approve":
      return objectOf([
        ["approved", { type: "boolean", const: true }],
        ["by", { type: "string" }],
      ]);
    case "workflow":
      return work.workflow.output ?? anything;
    case "map": {
      const each = outputOfTask(work.each);
      return { type: "array", items: work.join.kind === "all" ? each : nullable(each) };
    }
    case "wait":
      if (work.until.kind === "topic") return topicMessage;
      if (work.until.kind !== "board") return { type: "null" };
      return objectOf([
        ["key", { type: "string" }],
        ["version", { type: "integer" }],
        ["value", { type: "string" }],
      ]);
  }
}

/** For a step (null: for the end of the run): the steps that are done for certain, so that their outputs are not null. */
function certainSteps(steps: readonly Step[]): (step: Step | null) => ReadonlySet<string> {
  const sure = new Map<string, ReadonlySet<string>>();
  const before = (step: Step): ReadonlySet<string> => {
    const set = new Set<string>();
    if (step.standby?.as === "compensate") set.add(step.standby.owner);
    const needs = step.standby ? (steps.find(({ id }) => id === step.standby?.owner)?.needs ?? []) : step.needs;
    // One need alone is as good as all of them.
    if (step.join.kind === "all" || (step.join.kind !== "settled" && needs.length === 1))
      for (const need of needs) for (const id of [need, ...(sure.get(need) ?? [])]) set.add(id);
    return set;
  };
  for (const step of steps) sure.set(step.id, before(step));
  const skippable = new Set<string>();
  for (const { id, when, onError, budget, join, needs } of steps) {
    const bySelf = when !== null || onError.kind === "skip" || budget.onBudget === "skip" || join.kind !== "all";
    if (bySelf || needs.some((need) => skippable.has(need))) skippable.add(id);
  }
  const atEnd = new Set(steps.filter((step) => !step.standby && !skippable.has(step.id)).map(({ id }) => id));
  return (step) => (step ? (sure.get(step.id) ?? new Set()) : atEnd);
}

const withoutNull = (type: Type): Type => {
  const options = type["anyOf"] as readonly Type[] | undefined;
  const rest = options?.filter((option) => !(typesOf(option)?.size === 1 && typesOf(option)?.has("null")));
  return rest?.length === 1 ? (rest[0] ?? type) : rest ? { anyOf: rest } : type;
};

const argumentTypes = new Map<string, JsonSchema>();
function argumentsOf(tool: keyof typeof toolArguments): JsonSchema {
  const known =
    argumentTypes.get(tool) ??
    (z.toJSONSchema(toolArguments[tool], { io: "input", unrepresentable: "any" }) as Json as JsonSchema);
  argumentTypes.set(tool, known);
  return known;
}

const topicMessage: JsonSchema = objectOf([
  ["topic", { type: "string" }],
  ["id", { type: "string" }],
  ["position", { type: "integer" }],
  ["from", { type: "string" }],
  ["body", { type: "string" }],
]);
