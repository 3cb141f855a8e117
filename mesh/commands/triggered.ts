import type { Clock } from "../../lib/clock.ts";
import type { Json } from "../../lib/json.ts";
import { ok } from "../../lib/result.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Effect } from "../schedule/effect.ts";
import { workflowTrigger, type Trigger } from "../schedule/trigger.ts";
import type { Store } from "../store/store.ts";
import type { Plan, Workflow } from "../workflow/definition.ts";
import type { WorkflowEngine } from "../workflow/engine/engine.ts";
import { loadWorkflow } from "../workflow/load.ts";
import { planWorkflow } from "../workflow/plan.ts";
import { CommandError } from "./failure.ts";
import { planFacts } from "./plan.ts";

type Starter = Workflow["startedBy"][number];

/** Starts what schedule and webhooks of the fleet file name. All is planned now: what may not run is told before anything fires. */
export function startsOf(fleet: Fleet, engine: WorkflowEngine, store: Store, clock: Clock): Trigger {
  const plans = new Map<string, Plan>();
  const entries: readonly (readonly [string, Starter, Effect])[] = [
    ...fleet.schedule.map(({ name, effect }) => [`schedule.${name}`, "schedule", effect] as const),
    ...fleet.hooks.map(({ name, effect }) => [`hooks.${name}`, "webhook", effect] as const),
  ];
  const facts = planFacts(fleet, clock);
  for (const [entry, starter, effect] of entries) {
    if (effect.kind !== "workflow") continue;
    const compiled = loadWorkflow(effect.file);
    const { findings } = compiled.ok
      ? planWorkflow(compiled.value, facts, constantOf(effect))
      : { findings: compiled.error };
    const fault = findings.find(({ severity }) => severity === "error");
    if (fault || !compiled.ok)
      throw new CommandError(
        `\`${entry}\` may not run its workflow: ${fault?.file}:${fault?.line}:${fault?.column}: ${fault?.message}\n  fix: ${fault?.fix}`,
      );
    const { startedBy } = compiled.value.workflow;
    if (!startedBy.includes(starter))
      throw new CommandError(
        `\`${entry}\`: ${effect.file} is started by ${startedBy.join(", ")} only\n  fix: add \`${starter}\` to its \`started_by\`, and plan it again`,
      );
    // Two entries can start one file with different inputs: the plan of each run is that for any input.
    plans.set(effect.file, planWorkflow(compiled.value, facts));
  }
  return workflowTrigger({
    store,
    plans,
    prepareStart: (start) => {
      const prepared = engine.prepareStart(start);
      return prepared.ok ? ok({ ...prepared.value, done: () => void prepared.value.done().catch(() => {}) }) : prepared;
    },
  });
}

/** An input that is known beforehand is checked beforehand. */
const constantOf = ({ input }: Extract<Effect, { kind: "workflow" }>): Json | undefined =>
  input.kind === "constant" ? input.value : undefined;
