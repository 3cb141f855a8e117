import type { Json } from "../../lib/json.ts";
import { evaluateCondition } from "./condition.ts";
import type { Expression, Step } from "./definition.ts";
import { evaluate, type Scope } from "./expression.ts";
import type { Compiled } from "./parse.ts";

/** Steps that no run reaches. With an input, conditions over it alone are decided, too. */
export function checkReach({ workflow, places }: Compiled, input: Json | undefined): void {
  const scope: Scope = { runId: "", input: input ?? {}, outputs: new Map() };
  const known = (root: string): boolean => root === "input" && input !== undefined;
  const never = new Map<string, string>();
  for (const step of workflow.steps) {
    const why = reasonOf(step, never, known, scope);
    if (why === undefined) continue;
    never.set(step.id, why);
    // A condition that is only false for this input is no mistake of the file.
    const add = step.when && step.when.references.length > 0 ? "note" : "error";
    places[add](
      "unreachable",
      ["steps", step.id, "when"],
      `\`${step.id}\` is never reached: ${why}`,
      "remove the step, or correct the condition",
    );
  }
}

function reasonOf(
  step: Step,
  never: ReadonlyMap<string, string>,
  known: (root: string) => boolean,
  scope: Scope,
): string | undefined {
  if (step.when?.references.every(({ root }) => known(root))) {
    const holds = evaluateCondition(step.when, scope);
    if (!holds.ok) return `its condition fails: ${holds.error}`;
    if (!holds.value) return "its condition is never true";
  }
  if (step.standby) return never.has(step.standby.owner) ? `nor is \`${step.standby.owner}\`` : undefined;
  const lost = step.needs.filter((need) => never.has(need));
  const wanted =
    step.join.kind === "all"
      ? step.needs.length
      : step.join.kind === "any"
        ? 1
        : step.join.kind === "n"
          ? step.join.n
          : 0;
  if (step.needs.length === 0 || step.needs.length - lost.length >= Math.min(wanted, step.needs.length))
    return undefined;
  return `nor is \`${lost[0] ?? ""}\`, which it needs`;
}

/** How many items a map has when its list is known before the run. */
export function itemsKnown(over: Expression, input: Json | undefined): number | undefined {
  if (over.kind === "constant") return Array.isArray(over.value) ? over.value.length : undefined;
  if (over.kind !== "reference" || over.reference.root !== "input" || input === undefined) return undefined;
  const value = evaluate(over, { runId: "", input, outputs: new Map() });
  return value.ok && Array.isArray(value.value) ? value.value.length : undefined;
}
