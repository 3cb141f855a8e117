import type { Json } from "../../lib/json.ts";
import type { Finding, Plan, PlannedStep, Step } from "./definition.ts";
import { total, worstOf, type CostFacts } from "./cost.ts";
import { checkFlows, type Taint } from "./flow.ts";
import type { Compiled } from "./parse.ts";
import { checkCaps, checkTotal } from "./plan-caps.ts";
import { digestOf, digestOfPlan } from "./plan-digest.ts";
import { permissionsOf, type FleetFacts } from "./plan-permissions.ts";
import { checkReach, itemsKnown } from "./plan-reach.ts";
import { checkTypes } from "./plan-types.ts";
import { validate } from "./schema-validate.ts";

export type PlanFacts = FleetFacts & CostFacts;

/**
 * Everything that a run of this workflow in this fleet can do, and what speaks against it. Pure but for the findings,
 * which stand in the plan: with one of severity `error` no run is started. `input` undefined: the plan is for any input.
 */
export function planWorkflow(compiled: Compiled, facts: PlanFacts, input?: Json): Plan {
  const { workflow, places } = compiled;
  const fits = input === undefined ? undefined : validate(workflow.input, input);
  if (fits && !fits.ok)
    places.error("input", ["input"], `the input does not fit: ${fits.error}`, "hand over what `input` declares");
  const steps = stepsOf(compiled, facts, "", fits?.ok ? input : undefined);
  const taint = checkFlows(compiled, facts.matrix);
  if (taint) noteResult(compiled, taint);
  const sum = total(
    workflow.steps.map((step) => worstOfStep(step, workflow.timeoutMs, facts, input)),
    { ...workflow.budget, tokens: null, microUsd: null },
    facts,
    workflow.timeoutMs,
  );
  checkTotal(workflow, sum, places);
  const rest = {
    version: 1,
    fleet: facts.fleet.name,
    workflow,
    inputDigest: input === undefined ? null : digestOf(input),
    steps,
    worst: total([sum], workflow.budget, facts, workflow.timeoutMs),
  } as const;
  return { ...rest, digest: digestOfPlan(rest), findings: findingsOf(compiled) };
}

export const isAllowed = (plan: Pick<Plan, "findings">): boolean =>
  plan.findings.every(({ severity }) => severity !== "error");

/** The steps of a workflow and of those that it runs, `a/b` for step `b` of the workflow that step `a` runs. */
function stepsOf(compiled: Compiled, facts: PlanFacts, path: string, input: Json | undefined): PlannedStep[] {
  checkTypes(compiled);
  checkReach(compiled, input);
  checkCaps(compiled.workflow, facts.fleet, compiled.places);
  return compiled.workflow.steps.flatMap((step) => {
    const id = path === "" ? step.id : `${path}/${step.id}`;
    const touched = permissionsOf(step, ["steps", step.id], facts, compiled.places);
    const child = compiled.children.get(step.id);
    const worst = worstOfStep(step, compiled.workflow.timeoutMs, facts, input);
    const own: PlannedStep = { id, kind: step.work.kind, ...touched, worst };
    return [own, ...(child ? stepsOf(child, facts, id, undefined) : [])];
  });
}

function worstOfStep(step: Step, runMs: number, facts: PlanFacts, input: Json | undefined): PlannedStep["worst"] {
  return worstOf(step, facts, runMs, step.work.kind === "map" ? itemsKnown(step.work.over, input) : undefined);
}

function noteResult({ places }: Compiled, { origin, through }: Taint): void {
  const way = [origin, ...through.map((id) => `\`${id}\``)].join(" -> ");
  places.note(
    "flow",
    ["result"],
    `${way} -> the result: who reads it reads untrusted text`,
    "nothing has to be done; it is shown as such",
  );
}

function findingsOf(compiled: Compiled): readonly Finding[] {
  const own = compiled.places.findings.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const all = [...own, ...[...compiled.children.values()].flatMap(findingsOf)];
  // Two steps can run the same file; what is wrong in it is told once.
  return [...new Map(all.map((finding) => [JSON.stringify(finding), finding])).values()];
}
