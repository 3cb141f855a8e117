import type { ToolName } from "../../protocol/door.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Path } from "../config/source.ts";
import type { Provider } from "../egress/providers.ts";
import { decide, type Action, type Grants, type Matrix } from "../policy/decide.ts";
import type { PlannedAction, PlannedStep, Task } from "./definition.ts";
import { globCovers } from "./glob-cover.ts";
import type { Places } from "./places.ts";
import { placesOfStep } from "./plan-places.ts";
import { argumentOf, boardTargets, patternOf } from "./tool-target.ts";

/** What the fleet says that a plan must know. */
export interface FleetFacts {
  readonly matrix: Matrix;
  readonly fleet: Pick<Fleet, "bindings" | "databases">;
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
    return ofWait(work.until.as, key && { verb: "board.read", key }, [...at, "wait", "board"], facts, places);
  }
  if (work.kind === "wait" && work.until.kind === "topic") {
    const topic = patternOf(work.until.topic);
    return ofWait(work.until.as, topic && { verb: "topic.subscribe", topic }, [...at, "wait", "topic"], facts, places);
  }
  return { agent: null, actions: [], destinations: [], credentials: [] };
}

function ofWait(agent: string, read: Action | "" | undefined, at: Path, facts: FleetFacts, places: Places): Touched {
  if (!read)
    places.error(
      "permission",
      at,
      `the ${at.at(-1) === "topic" ? "topic" : "key"} is not known before the run`,
      "write at least a part of it out",
    );
  const actions = read ? granted(facts, agent, [read], at, places) : [];
  return { agent, actions, destinations: [], credentials: [] };
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
  const outside = placesOfStep(task, agent, at, facts, places);
  const actions = [
    ...models,
    ...granted(facts, agent, own, [...at, "may"], places),
    ...outside.flatMap((each) => each.actions),
  ];
  const providers = models.flatMap(
    ({ target: model }) => facts.providers.get(model.slice(0, model.indexOf("/"))) ?? [],
  );
  return {
    agent,
    actions,
    destinations: sorted([...providers.map(hostOf), ...outside.flatMap(({ destinations }) => destinations)]),
    credentials: sorted([
      ...providers.flatMap(({ credential }) => credential ?? []),
      ...outside.flatMap(({ credentials }) => credentials),
    ]),
  };
}

const sorted = (names: readonly string[]): string[] => [...new Set(names)].sort();

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
  const name = TARGETS[tool] ?? "key";
  if (isBoardTool(tool) && patternOf(argumentOf(task.with, name)) === undefined && isOpen(task))
    places.error(
      "permission",
      [...at, "with"],
      `\`${name}\` is not known before the run`,
      "write at least a part of it out, or narrow the step by `may`",
    );
  if (tool.startsWith("bus.") && tool !== "bus.publish") {
    places.error(
      "permission",
      [...at, "tool"],
      `\`${tool}\` belongs to a subscription, and a step has none`,
      "wait for a message by `wait: { topic: … }`, or let an agent do it",
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
  if (task.may.reach.length + (task.may.databases?.length ?? 0) > 0)
    places.error(
      "permission",
      [...at, "may"],
      "a tool reaches nothing outside by itself",
      "remove `reach` and `databases`, or let an agent do it",
    );
  const wanted = actionsOf(task);
  if (wanted.length === 0) return { agent: as, actions: [], destinations: [], credentials: [] };
  return { agent: as, actions: granted(facts, as, wanted, [...at, "tool"], places), destinations: [], credentials: [] };
}

/** The argument that says what a tool touches; `key` where nothing is said. */
const TARGETS: Partial<Readonly<Record<ToolName, string>>> = {
  "message.send": "to",
  "bus.publish": "topic",
  "board.list": "match",
  "board.watch": "match",
};

/** Whether its permission is a line of the board, of messages or of topics, not of `tools`. */
const isBoardTool = (tool: ToolName): boolean =>
  boardTargets(tool, { kind: "constant", value: {} }).tools === undefined;
const isOpen = ({ may }: Task): boolean =>
  may.message.length + may.blackboard.read.length + may.blackboard.write.length + (may.topics?.publish.length ?? 0) ===
  0;

/** Board and messages are granted by their own lists, as in the fleet file. */
function checkTools(task: Task, at: Path, places: Places): readonly Action[] {
  task.may.tools.forEach((tool, index) => {
    if (isBoardTool(tool) || tool.startsWith("bus."))
      places.error(
        "permission",
        [...at, "may", "tools", index],
        `\`${tool}\` is not granted by \`tools\`: the board, messages and topics have their own lists`,
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
    ...(may.topics?.publish ?? []).map((topic): Action => ({ verb: "topic.publish", topic })),
    ...(may.topics?.subscribe ?? []).map((topic): Action => ({ verb: "topic.subscribe", topic })),
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
    const { target, list, all, own } = wordsOf(action, facts.matrix.get(agent));
    const isPattern = list !== undefined && target.includes("*");
    const cover = isPattern ? own.find((outer) => globCovers(outer, target)) : undefined;
    const decision = isPattern ? undefined : decide(facts.matrix, agent, action);
    if (cover !== undefined) planned.push(asPlanned(action.verb, target, `agents.${agent}.may.${list}: ${cover}`));
    else if (decision?.allow) planned.push(asPlanned(action.verb, target, decision.rule));
    else {
      const reason = `\`${agent}\` may not ${all} \`${target}\``;
      const remedy = `add \`${target}\` to \`agents.${agent}.may.${list}\``;
      const refused = decision?.refusal ?? { reason, remedy };
      places.error("permission", at, refused.reason, `${refused.remedy} in the fleet file, or narrow the step`);
    }
  }
  return planned;
}

/** What an action touches; `list`: the list of patterns in the fleet file that grants it, `own` what stands there. */
function wordsOf(
  action: Action,
  grants: Grants | undefined,
): { readonly target: string; readonly list?: string; readonly all?: string; readonly own: readonly string[] } {
  if ("key" in action) {
    const side = action.verb === "board.read" ? "read" : "write";
    return {
      target: action.key,
      list: `blackboard.${side}`,
      all: `${side} all of the board keys`,
      own: grants?.blackboard[side] ?? [],
    };
  }
  if ("topic" in action) {
    const side = action.verb === "topic.subscribe" ? "subscribe" : "publish";
    const all = side === "publish" ? "publish on all of the topics" : "subscribe to all of the topics";
    return { target: action.topic, list: `topics.${side}`, all, own: grants?.topics?.[side] ?? [] };
  }
  return { target: "tool" in action ? action.tool : "to" in action ? action.to : "**", own: [] };
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
