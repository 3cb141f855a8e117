import type { ToolName } from "../../protocol/door.ts";
import type { Path } from "../config/source.ts";
import type { Provider } from "../egress/providers.ts";
import { decide, type Action, type Matrix } from "../policy/decide.ts";
import type { PlannedAction, PlannedStep, Task } from "./definition.ts";
import { globCovers } from "./narrow.ts";
import type { Places } from "./places.ts";
import { argumentOf, boardTargets, patternOf } from "./tool-target.ts";

/** What the fleet says that a plan must know. */
export interface FleetFacts {
  readonly matrix: Matrix;
  readonly providers: ReadonlyMap<string, Provider>;
}

type Touched = Pick<PlannedStep, "agent" | "actions" | "destinations" | "credentials">;

/** Everything that one task can touch; what the fleet file does not grant is a finding with its remedy. */
export function permissionsOf(task: Task, at: Path, facts: FleetFacts, places: Places): Touched {
  const { work } = task;
  if (work.kind === "map") return permissionsOf(work.each, [...at, "map", "each"], facts, places);
  if (work.kind === "agent") return ofAgent(work.agent, task, at, facts, places);
  if (work.kind === "tool") return ofTool(work.as, work.tool, task, at, facts, places);
  if (work.kind === "wait" && work.until.kind === "board") {
    const key = patternOf(work.until.key);
    if (key === undefined)
      places.error(
        "permission",
        [...at, "wait", "board"],
        "the key is not known before the run",
        "write at least a part of it out",
      );
    const actions =
      key === undefined
        ? []
        : granted(facts, work.until.as, [{ verb: "board.read", key }], [...at, "wait", "board"], places);
    return { agent: work.until.as, actions, destinations: [], credentials: [] };
  }
  return { agent: null, actions: [], destinations: [], credentials: [] };
}

function ofAgent(agent: string, task: Task, at: Path, facts: FleetFacts, places: Places): Touched {
  const grants = facts.matrix.get(agent);
  if (!grants) {
    places.error(
      "agent",
      [...at, "agent"],
      `\`${agent}\` is not an agent of this fleet`,
      "name one of the fleet file's agents, or declare it there",
    );
    return { agent, actions: [], destinations: [], credentials: [] };
  }
  const own = checkTools(task, at, places);
  const models = grants.models.map(
    (model) => ({ verb: "model.call", target: model, rule: `agents.${agent}.model` }) as const,
  );
  const actions = [...models, ...granted(facts, agent, own, [...at, "may"], places)];
  const providers = models.flatMap(
    ({ target: model }) => facts.providers.get(model.slice(0, model.indexOf("/"))) ?? [],
  );
  return {
    agent,
    actions,
    destinations: [...new Set([...providers.map(hostOf), ...task.may.reach])].sort(),
    credentials: [...new Set(providers.flatMap(({ credential }) => credential ?? []))].sort(),
  };
}

function ofTool(as: string, tool: ToolName, task: Task, at: Path, facts: FleetFacts, places: Places): Touched {
  if (!facts.matrix.has(as)) {
    places.error(
      "agent",
      [...at, "as"],
      `\`${as}\` is not an agent of this fleet`,
      "name one of the fleet file's agents, or declare it there",
    );
    return { agent: as, actions: [], destinations: [], credentials: [] };
  }
  const name = tool === "message.send" ? "to" : tool === "board.list" || tool === "board.watch" ? "match" : "key";
  const onBoard = tool.startsWith("board.") || tool === "message.send";
  if (onBoard && patternOf(argumentOf(task.with, name)) === undefined && isOpen(task))
    places.error(
      "permission",
      [...at, "with"],
      `\`${name}\` is not known before the run`,
      "write at least a part of it out, or narrow the step by `may`",
    );
  if (tool.startsWith("bus.")) {
    places.error(
      "permission",
      [...at, "tool"],
      "topics are not for tool steps in this version",
      "let an agent do it outside of the workflow, or use the blackboard",
    );
    return { agent: as, actions: [], destinations: [], credentials: [] };
  }
  const explicit = task.may.tools.length > 0 || isBoardTool(tool);
  if (!explicit || (!isBoardTool(tool) && !task.may.tools.includes(tool)))
    places.error(
      "permission",
      [...at, "may"],
      `\`${tool}\` is not among the step's own \`may.tools\``,
      `add \`${tool}\` to \`may.tools\`, or remove \`may\``,
    );
  const wanted = actionsOf(task);
  if (wanted.length === 0) return { agent: as, actions: [], destinations: [], credentials: [] };
  return { agent: as, actions: granted(facts, as, wanted, [...at, "tool"], places), destinations: [], credentials: [] };
}

const isBoardTool = (tool: ToolName): boolean =>
  boardTargets(tool, { kind: "constant", value: {} }).tools === undefined;
const isOpen = ({ may }: Task): boolean =>
  may.message.length + may.blackboard.read.length + may.blackboard.write.length === 0;

/** Board and messages are granted by their own lists, as in the fleet file. */
function checkTools(task: Task, at: Path, places: Places): readonly Action[] {
  task.may.tools.forEach((tool, index) => {
    if (isBoardTool(tool) || tool.startsWith("bus."))
      places.error(
        "permission",
        [...at, "may", "tools", index],
        `\`${tool}\` is not granted by \`tools\`: the board and messages have their own lists, topics are not for steps`,
        "remove it from `tools`",
      );
  });
  return actionsOf(task);
}

function actionsOf({ may }: Task): readonly Action[] {
  return [
    ...may.tools.filter((tool) => !isBoardTool(tool)).map((tool): Action => ({ verb: "tool.call", tool })),
    ...may.message.map((to): Action => ({ verb: "message.send", to })),
    ...(may.blackboard.read.length > 0 ? [{ verb: "board.list" } as const] : []),
    ...may.blackboard.read.map((key): Action => ({ verb: "board.read", key })),
    ...may.blackboard.write.map((key): Action => ({ verb: "board.write", key })),
  ];
}

/** Asks the same matrix that the door asks; a pattern must lie within one of the agent's. */
function granted(
  facts: FleetFacts,
  agent: string,
  wanted: readonly Action[],
  at: Path,
  places: Places,
): PlannedAction[] {
  const planned: PlannedAction[] = [];
  for (const action of wanted) {
    const target = "key" in action ? action.key : "tool" in action ? action.tool : "to" in action ? action.to : "**";
    const side = action.verb === "board.read" ? "read" : "write";
    const grants = facts.matrix.get(agent);
    const isPattern = "key" in action && action.key.includes("*");
    const cover = isPattern ? grants?.blackboard[side].find((outer) => globCovers(outer, action.key)) : undefined;
    const decision =
      isPattern && cover === undefined
        ? undefined
        : cover === undefined
          ? decide(facts.matrix, agent, action)
          : undefined;
    if (cover !== undefined)
      planned.push(asPlanned(action.verb, target, `agents.${agent}.may.blackboard.${side}: ${cover}`));
    else if (decision?.allow) planned.push(asPlanned(action.verb, target, decision.rule));
    else {
      const reason = decision?.refusal.reason ?? `\`${agent}\` may not ${side} all of the board keys \`${target}\``;
      const remedy = decision?.refusal.remedy ?? `add \`${target}\` to \`agents.${agent}.may.blackboard.${side}\``;
      places.error("permission", at, reason, `${remedy} in the fleet file, or narrow the step`);
    }
  }
  return planned;
}

const asPlanned = (verb: string, target: string, rule: string): PlannedAction => ({
  verb: verb as PlannedAction["verb"],
  target,
  rule,
});

const hostOf = (provider: Provider): string =>
  provider.socketPath === undefined && provider.baseUrl !== ""
    ? (URL.parse(provider.baseUrl)?.host ?? provider.name)
    : provider.name;
