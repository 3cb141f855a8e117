import { globMatches } from "../../../lib/glob.ts";
import type { Json } from "../../../lib/json.ts";
import type { ToolName } from "../../../protocol/door.ts";
import type { Plan, PlannedAction, PlannedStep, Step, WaitUntil, Work, Workflow } from "../definition.ts";
import type { Job } from "./job.ts";
import { splitTask } from "./state.ts";

/** The workflow at `path` of a plan: empty for its own, `a/b` for the one that step `b` of step `a`'s workflow runs. */
export function workflowAt(plan: Plan, path: string): Workflow | undefined {
  let workflow: Workflow | undefined = plan.workflow;
  for (const id of path === "" ? [] : path.split("/")) {
    const step: Step | undefined = workflow?.steps.find((each) => each.id === id);
    const work: Work | undefined = step?.work.kind === "map" ? step.work.each.work : step?.work;
    workflow = work?.kind === "workflow" ? work.workflow : undefined;
  }
  return workflow;
}

export const pathOfStep = (path: string, step: string): string => (path === "" ? step : `${path}/${step}`);

/** Whether a plan names that a step does `verb` to `target`. Targets on the board are patterns. */
function names(step: PlannedStep, verb: PlannedAction["verb"], target: string): boolean {
  return step.actions.some(
    (action) => action.verb === verb && (action.target === target || globMatches(action.target, target)),
  );
}

const planned = new WeakMap<Plan, ReadonlyMap<string, PlannedStep>>();
function stepsOf(plan: Plan): ReadonlyMap<string, PlannedStep> {
  let steps = planned.get(plan);
  if (!steps) planned.set(plan, (steps = new Map(plan.steps.map((step) => [step.id, step]))));
  return steps;
}

/** Why the plan does not name what a job would do; undefined when it does. Asked before anything is set off. */
export function unplanned({ plan, path, task, definition, input }: Job): string | undefined {
  const id = pathOfStep(path, splitTask(task).step);
  const step = stepsOf(plan).get(id);
  const { work } = definition;
  if (!step) return `the plan has no step \`${id}\``;
  const kind = splitTask(task).index === null ? work.kind : "map";
  if (step.kind !== kind) return `the plan has \`${id}\` as a step of kind \`${step.kind}\`, not \`${kind}\``;
  const agent = agentOf(work);
  if (agent !== null && step.agent !== agent) return `the plan does not name agent \`${agent}\` for \`${id}\``;
  if (work.kind !== "tool" && work.kind !== "wait") return undefined;
  const action = work.kind === "tool" ? actionOfTool(work.tool, input) : actionOfWait(work.until, input);
  if (!action) return undefined;
  const [verb, target] = action;
  return names(step, verb, target) ? undefined : `the plan does not name \`${verb}\` of \`${target}\` for \`${id}\``;
}

function agentOf(work: Work): string | null {
  if (work.kind === "agent") return work.agent;
  if (work.kind === "tool") return work.as;
  return work.kind === "wait" && "as" in work.until ? work.until.as : null;
}

type Touch = readonly [verb: PlannedAction["verb"], target: string];

const textIn = (input: Json, name: string): string => {
  const value = (input as Readonly<Record<string, Json>> | null)?.[name];
  return typeof value === "string" ? value : "";
};

function actionOfWait({ kind }: WaitUntil, input: Json): Touch | undefined {
  if (kind === "board") return ["board.read", textIn(input, "key")];
  return kind === "topic" ? ["topic.subscribe", textIn(input, "topic")] : undefined;
}

/** Board, messages and topics are named by what they touch, all other tools by themselves. */
function actionOfTool(tool: ToolName, input: Json): Touch {
  const given = (name: string): string => textIn(input, name);
  switch (tool) {
    case "board.read":
    case "board.history":
      return ["board.read", given("key")];
    case "board.list":
    case "board.watch":
      return ["board.list", "**"];
    case "board.write":
    case "board.delete":
      return ["board.write", given("key")];
    case "message.send":
      return ["message.send", given("to")];
    case "bus.publish":
      return ["topic.publish", given("topic")];
    default:
      return ["tool.call", tool];
  }
}
