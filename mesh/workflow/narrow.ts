import { refusal } from "../../protocol/refusal.ts";
import { decide, type Action, type Decision, type Grants, type Matrix } from "../policy/decide.ts";
import type { Narrowing } from "./definition.ts";
import { reachOfStep, tunnelInStep } from "./narrow-reach.ts";

/**
 * What a step may do: only what the fleet file grants the agent and the step names as well. Both are asked, so that no
 * narrowing can widen anything, whatever it says. A tool of the fleet file's `tools` must be in the step's, too.
 */
export function decideInStep(matrix: Matrix, may: Narrowing, agent: string, action: Action): Decision {
  const granted = decide(matrix, agent, action);
  const grants = matrix.get(agent);
  if (!granted.allow || !grants) return granted;
  if (action.verb === "model.call") return granted;
  const own = grantsOfStep(may, grants);
  const inStep = decide(new Map([[agent, own]]), agent, action);
  const held = action.verb !== "web.tunnel" || tunnelInStep(grants.reach ?? [], own.reach ?? [], action);
  if (inStep.allow && held) return granted;
  const reason = inStep.allow
    ? `nobody could hold \`${agent}\` to methods and paths: its \`reach\` passes this place through`
    : inStep.refusal.reason;
  return {
    allow: false,
    refusal: refusal("denied", `in this step ${reason}`, "name it under the step's `may`, and make a new plan"),
  };
}

/** Anything that a narrowing does not know of is empty in it. */
export function grantsOfStep(may: Narrowing, agent: Grants): Grants {
  const empty = Object.fromEntries(Object.entries(agent).map(([key, value]) => [key, emptied(value)]));
  return {
    ...(empty as unknown as Grants),
    message: may.message,
    blackboard: may.blackboard,
    topics: may.topics ?? { publish: [], subscribe: [] },
    reach: reachOfStep(may),
    databases: may.databases ?? [],
    tools: may.tools,
    models: agent.models,
  };
}

const emptied = (value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, emptied(inner)]))
    : Array.isArray(value)
      ? []
      : undefined;
