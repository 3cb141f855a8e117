import { globMatches } from "../../lib/glob.ts";
import { refusal } from "../../protocol/refusal.ts";
import { decide, type Action, type Decision, type Grants, type Matrix } from "../policy/decide.ts";
import type { Narrowing } from "./definition.ts";

/**
 * What a step may do: only what the fleet file grants the agent and the step names as well. Both are asked, so that no
 * narrowing can widen anything, whatever it says. A tool of the fleet file's `tools` must be in the step's, too.
 */
export function decideInStep(matrix: Matrix, may: Narrowing, agent: string, action: Action): Decision {
  const granted = decide(matrix, agent, action);
  const grants = matrix.get(agent);
  if (!granted.allow || !grants) return granted;
  if (action.verb === "model.call") return granted;
  const inStep = decide(new Map([[agent, grantsOfStep(may, grants)]]), agent, action);
  if (inStep.allow) return granted;
  const { reason } = inStep.refusal;
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

/**
 * Whether every key that `inner` matches is matched by `outer`. Errs towards no. A star of `inner` is read as a
 * character that only a star of `outer` matches: what it stands for, that star matches as well.
 */
export function globCovers(outer: string, inner: string): boolean {
  return coversFrom(outer.split("/"), inner.split("/"));
}

function coversFrom(outer: readonly string[], inner: readonly string[]): boolean {
  const [first, ...rest] = outer;
  if (first === undefined) return inner.length === 0;
  if (first === "**") {
    // A last `**` covers all; one in the middle is tried at every length.
    if (rest.length === 0) return true;
    return inner.some((_, from) => coversFrom(rest, inner.slice(from)));
  }
  const [segment, ...further] = inner;
  if (segment === undefined || segment === "**") return false;
  const covered = globMatches(first, segment);
  return covered && coversFrom(rest, further);
}

/** Whether two patterns can match one and the same key. Errs towards yes. */
export function globsMeet(a: string, b: string): boolean {
  return meetFrom(a.split("/"), b.split("/"));
}

function meetFrom(a: readonly string[], b: readonly string[]): boolean {
  const [first, ...restA] = a;
  const [second, ...restB] = b;
  if (first === "**" || second === "**") return true;
  if (first === undefined || second === undefined) return first === second;
  const alike =
    first.includes("*") && second.includes("*")
      ? true
      : first.includes("*")
        ? globMatches(first, second)
        : globMatches(second, first);
  return alike && meetFrom(restA, restB);
}
