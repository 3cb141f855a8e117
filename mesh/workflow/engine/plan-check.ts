import { globMatches } from "../../../lib/glob.ts";
import type { Json } from "../../../lib/json.ts";
import type { ToolName } from "../../../protocol/door.ts";
import type { Plan, PlannedAction, PlannedStep, Step, Work, Workflow } from "../definition.ts";
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

/** Why the plan does not name what a job would do; undefined when it does. Asked before anything is set off. */
export function unplanned({ plan, path, task, definition, input }: Job): string | undefined {
  const id = pathOfStep(path, splitTask(task).step);
  const step = plan.steps.find((each) => each.id === id);
  const { work } = definition;
  if (!step) return `the plan has no step \`${id}\``;
  const kind = splitTask(task).index === null ? work.kind : "map";
  if (step.kind !== kind) return `the plan has \`${id}\` as a step of kind \`${step.kind}\`, not \`${kind}\``;
  const agent = work.kind === "agent" ? work.agent : work.kind === "tool" ? work.as : null;
  if (agent !== null && step.agent !== agent) return `the plan does not name agent \`${agent}\` for \`${id}\``;
  if (work.kind !== "tool") return undefined;
  const [verb, target] = actionOfTool(work.tool, input);
  return names(step, verb, target) ? undefined : `the plan does not name \`${verb}\` of \`${target}\` for \`${id}\``;
}

/** Board and messages are named by what they touch, all other tools by themselves. */
function actionOfTool(tool: ToolName, input: Json): readonly [verb: PlannedAction["verb"], target: string] {
  const given = (name: string): string => {
    const value = (input as Readonly<Record<string, Json>> | null)?.[name];
    return typeof value === "string" ? value : "";
  };
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
    default:
      return ["tool.call", tool];
  }
}
