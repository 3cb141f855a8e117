import { nearest } from "../../lib/nearest.ts";
import type { Path } from "../config/source.ts";
import type { Expression, Reference, Step, Task } from "./definition.ts";
import { referencesOf } from "./expression.ts";
import type { WorkflowForm } from "./form.ts";
import { ancestorsOf, topologicalOrder, type Node } from "./graph.ts";
import type { Places } from "./places.ts";
import { showReference } from "./reference.ts";

interface Parts {
  readonly form: WorkflowForm;
  readonly steps: readonly Step[];
  readonly result: Expression;
  readonly places: Places;
}

/** The steps in topological order with their standby roles; finds cycles, and references to what is not known yet. */
export function orderSteps(parts: Parts): readonly Step[] {
  const { places } = parts;
  const steps = withStandby(parts);
  checkNeeds(steps, places);
  const order = topologicalOrder(steps.map(edgesOf));
  if (!order.ok) {
    const [first = ""] = order.cycle;
    const way = [...order.cycle, first].map((id) => `\`${id}\``).join(" -> ");
    places.error("cycle", ["steps", first, "needs"], `a cycle: ${way}`, "remove one of these needs");
    return steps;
  }
  const byId = new Map(steps.map((step) => [step.id, step]));
  const ordered = order.ids.flatMap((id) => byId.get(id) ?? []);
  checkReferences(ordered, byId, parts);
  return ordered;
}

const edgesOf = (step: Step): Node => ({ id: step.id, needs: step.standby ? [step.standby.owner] : step.needs });

/** A step that is another's fallback or compensation waits on the side. */
function withStandby({ form, steps, places }: Parts): readonly Step[] {
  const roles = new Map<string, NonNullable<Step["standby"]>>();
  const ids = steps.map(({ id }) => id);
  const give = (as: "fallback" | "compensate", owner: string, id: string): void => {
    const at: Path = ["steps", owner, as];
    if (!ids.includes(id)) places.error("reference", at, `no step \`${id}\``, meant(id, ids));
    else if (id === owner) places.error("standby", at, "a step cannot stand by itself", "name another step");
    else if (roles.has(id))
      places.error("standby", at, `\`${id}\` already stands by \`${roles.get(id)?.owner}\``, "give each its own step");
    else roles.set(id, { as, owner });
  };
  for (const { id, onError, compensate } of steps) {
    if (onError.kind === "fallback" && onError.step !== "") give("fallback", id, onError.step);
    if (compensate !== null) give("compensate", id, compensate);
  }
  return steps.map((step) => {
    const standby = roles.get(step.id) ?? null;
    if (!standby) return step;
    if (roles.has(standby.owner))
      places.error(
        "standby",
        ["steps", step.id],
        "a standby step stands by another standby step",
        "make one of them a step of its own",
      );
    for (const key of ["needs", "join", "when", "fallback", "compensate"] as const) {
      if (form.steps[step.id]?.[key] !== undefined)
        places.error(
          "standby",
          ["steps", step.id],
          `\`${key}\` means nothing here: \`${step.id}\` runs for \`${standby.owner}\` alone`,
          "remove it",
          key,
        );
    }
    return { ...step, standby };
  });
}

function checkNeeds(steps: readonly Step[], places: Places): void {
  const byId = new Map(steps.map((step) => [step.id, step]));
  for (const { id, needs, join, standby } of steps) {
    needs.forEach((need, index) => {
      const at: Path = ["steps", id, "needs", index];
      const needed = byId.get(need);
      if (!needed) places.error("reference", at, `no step \`${need}\``, meant(need, [...byId.keys()]));
      else if (needed.standby)
        places.error(
          "standby",
          at,
          `\`${need}\` runs only for \`${needed.standby.owner}\``,
          `need \`${needed.standby.owner}\` instead`,
        );
    });
    if (!standby && join.kind === "n" && join.n > needs.length)
      places.error(
        "unreachable",
        ["steps", id, "join"],
        `${join.n} of ${needs.length} needs can never be done`,
        "add needs or lower `n_of`",
      );
  }
}

/** Data is there only of steps that are over for certain before this one begins. */
function checkReferences(steps: readonly Step[], byId: ReadonlyMap<string, Step>, { result, places }: Parts): void {
  const ancestors = ancestorsOf(steps.map(edgesOf));
  for (const step of steps) {
    const visible = new Set(ancestors.get(step.id));
    if (step.standby?.as === "fallback") visible.delete(step.standby.owner);
    for (const { path, reference } of uses(step)) {
      if (reference.root !== "step" || visible.has(reference.name)) continue;
      const at: Path = ["steps", step.id, ...path];
      const shown = `\`${showReference(reference)}\``;
      const other = byId.get(reference.name);
      if (!other)
        places.error(
          "reference",
          at,
          `${shown}: no step \`${reference.name}\``,
          meant(reference.name, [...byId.keys()]),
        );
      else if (other.id === step.id)
        places.error("later", at, `${shown} is this step's own output`, "refer to an earlier step");
      else if (ancestors.get(other.id)?.has(step.id))
        places.error(
          "later",
          at,
          `${shown} is only known later: \`${other.id}\` needs \`${step.id}\``,
          "turn the order round, or remove the reference",
        );
      else if (other.standby)
        places.error(
          "reference",
          at,
          `${shown}: \`${other.id}\` stands by \`${other.standby.owner}\``,
          `refer to \`steps.${other.standby.owner}.output\``,
        );
      else
        places.error(
          "reference",
          at,
          `${shown} need not be known yet when \`${step.id}\` starts`,
          `add \`${other.id}\` to \`needs\``,
        );
    }
  }
  for (const reference of referencesOf(result)) {
    const other = byId.get(reference.name);
    if (reference.root === "step" && (!other || other.standby))
      places.error(
        "reference",
        ["result"],
        `\`${showReference(reference)}\`: no step \`${reference.name}\``,
        meant(reference.name, [...byId.keys()]),
      );
  }
}

/** Every reference of a step with the key below the step under which it stands. */
function uses(step: Step): readonly { readonly path: Path; readonly reference: Reference }[] {
  const condition = (step.when?.references ?? []).map((reference) => ({ path: ["when"], reference }));
  return [...condition, ...usesOfTask(step)];
}

export function usesOfTask({
  work,
  with: given,
}: Task): readonly { readonly path: Path; readonly reference: Reference }[] {
  const under = (path: Path, expression: Expression) =>
    referencesOf(expression).map((reference) => ({ path, reference }));
  const own = under(["with"], given);
  switch (work.kind) {
    case "agent":
      return [...under(["task"], work.task), ...own];
    case "approve":
      return [...under(["approve", "ask"], work.ask), ...own];
    case "map":
      return [
        ...under(["map", "over"], work.over),
        ...usesOfTask(work.each).map(({ path, reference }) => ({ path: ["map", "each", ...path], reference })),
      ];
    case "wait":
      if (work.until.kind === "time") return under(["wait", "until"], work.until.at);
      if (work.until.kind === "board") return under(["wait", "board"], work.until.key);
      if (work.until.kind !== "topic") return [];
      return [
        ...under(["wait", "topic"], work.until.topic),
        ...(work.until.after ? under(["wait", "after"], work.until.after) : []),
      ];
    case "tool":
    case "workflow":
      return own;
  }
}

function meant(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? "name a step of this file" : `did you mean \`${near}\`?`;
}
