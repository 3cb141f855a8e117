import type { Path } from "../config/source.ts";
import type { Matrix } from "../policy/decide.ts";
import type { Expression, Reference, Step, Task } from "./definition.ts";
import { referencesOf } from "./expression.ts";
import { taintedAgents, writersOf } from "./flow-agents.ts";
import type { Compiled } from "./parse.ts";
import { patternOf, argumentOf } from "./tool-target.ts";

/** Where untrusted data came in, and the steps that it went through since. */
export interface Taint {
  readonly origin: string;
  readonly through: readonly string[];
}

/** Tools whose results are the mesh's own words, or an echo of what was handed over. */
const CLEAN_RESULTS: readonly string[] = [
  "files.list",
  "output.write",
  "board.list",
  "board.write",
  "board.delete",
  "message.send",
  "board.watch",
  "board.history",
  "bus.publish",
  "bus.ack",
  "bus.reply",
];
/** Tools that only read, or whose effect stays among the agents and carries its label on. Any other tool acts outward. */
const INWARD: readonly string[] = [
  "files.list",
  "files.read",
  "board.list",
  "board.read",
  "board.write",
  "board.delete",
  "board.watch",
  "board.history",
  "message.send",
  "bus.publish",
  "bus.pull",
  "bus.ack",
  "bus.reply",
  "bus.replies",
  "bus.dead",
];

export const isOutward = (tool: string): boolean => !INWARD.includes(tool);

/** Finds every way from an untrusted source to an outward sink. Returns what taints the run's result. */
export function checkFlows(compiled: Compiled, matrix: Matrix, input?: Taint): Taint | undefined {
  return new Flow(compiled, matrix, input).check();
}

class Flow {
  readonly #compiled: Compiled;
  readonly #matrix: Matrix;
  readonly #input: Taint | undefined;
  readonly #outputs = new Map<string, Taint>();
  readonly #agents: ReadonlyMap<string, string>;
  readonly #byId: ReadonlyMap<string, Step>;

  constructor(compiled: Compiled, matrix: Matrix, input: Taint | undefined) {
    const { steps, startedBy } = compiled.workflow;
    this.#compiled = compiled;
    this.#matrix = matrix;
    this.#input =
      input ?? (startedBy.includes("webhook") ? { origin: "the input of a webhook", through: [] } : undefined);
    this.#agents = taintedAgents(matrix);
    this.#byId = new Map(steps.map((step) => [step.id, step]));
  }

  check(): Taint | undefined {
    const { workflow } = this.#compiled;
    for (const step of workflow.steps) {
      if (step.standby?.as === "fallback") continue;
      // What stands in for a step gives its output: whoever refers to the step refers to both.
      const fallback = step.onError.kind === "fallback" ? this.#byId.get(step.onError.step) : undefined;
      const taints = [step, ...(fallback ? [fallback] : [])].map((each) => ({
        id: each.id,
        taint: this.#task(each, each, ["steps", each.id], undefined),
      }));
      for (const { id, taint } of taints) {
        if (taint && !this.#outputs.has(step.id))
          this.#outputs.set(step.id, { ...taint, through: [...taint.through, id] });
      }
    }
    return this.#ofExpression(workflow.result, undefined);
  }

  /** What taints the output of a task; sinks on the way are checked. */
  #task(step: Step, task: Task, at: Path, item: Taint | undefined): Taint | undefined {
    const { work } = task;
    const given = this.#ofExpression(task.with, item);
    switch (work.kind) {
      case "agent":
        return this.#agent(step, task, work.agent, this.#ofExpression(work.task, item) ?? given, at);
      case "tool":
        if (isOutward(work.tool)) this.#toolSink(step, task, given, at, item);
        if (CLEAN_RESULTS.includes(work.tool)) return undefined;
        if (work.tool !== "board.read") return { origin: `\`${work.tool}\``, through: [] };
        return this.#board([patternOf(argumentOf(task.with, "key")) ?? "**"]);
      case "wait":
        if (work.until.kind === "topic") return topicTaint(patternOf(work.until.topic) ?? "**");
        return work.until.kind === "board" ? this.#board([patternOf(work.until.key) ?? "**"]) : undefined;
      case "map":
        return this.#task(step, work.each, [...at, "map", "each"], this.#ofExpression(work.over, item));
      case "workflow": {
        const child = this.#compiled.children.get(step.id);
        return child ? checkFlows(child, this.#matrix, given) : undefined;
      }
      case "approve":
        return undefined;
    }
  }

  #agent(step: Step, { may, accepts }: Task, agent: string, given: Taint | undefined, at: Path): Taint | undefined {
    const memory = this.#agents.get(agent);
    // What is outside both tells and is told: a request carries data, too.
    const outside = may.reach[0] ?? may.databases?.[0];
    const reads = may.tools.find((tool) => !CLEAN_RESULTS.includes(tool) && !isOutward(tool)) ?? outside;
    const taint =
      given ??
      (reads === undefined ? undefined : { origin: `\`${reads}\` in \`${step.id}\``, through: [] }) ??
      this.#board(may.blackboard.read) ??
      (may.topics?.subscribe[0] === undefined ? undefined : topicTaint(may.topics.subscribe[0])) ??
      (memory === undefined
        ? undefined
        : { origin: `the memory of \`${agent}\`, which elsewhere reads ${memory}`, through: [] });
    const sink = may.tools.find(isOutward) ?? outside;
    if (taint && sink !== undefined) {
      const message = `${trail(taint)} -> \`${sink}\` by \`${agent}\` in \`${step.id}\`: untrusted data can leave here`;
      if (accepts === "untrusted") this.#compiled.places.note("flow", at, message, "the step accepts it");
      else
        this.#compiled.places.error(
          "flow",
          [...at, "may"],
          message,
          `let a \`tool\` step do \`${sink}\` after an approval, or say \`accepts: untrusted\``,
        );
    }
    return taint;
  }

  #toolSink(step: Step, task: Task, given: Taint | undefined, at: Path, item: Taint | undefined): void {
    if (!given || task.work.kind !== "tool") return;
    const message = `${trail(given)} -> \`${task.work.tool}\` in \`${step.id}\`: untrusted data can leave here`;
    const tainted = referencesOf(task.with).filter((reference) => this.#ofReference(reference, item));
    const approvals = this.#approvalsBefore(step);
    const endorsed = tainted.every((reference) => approvals.some((shown) => covers(shown, reference)));
    if (endorsed) this.#compiled.places.note("flow", at, message, "a person approves exactly this before");
    else if (task.accepts === "untrusted") this.#compiled.places.note("flow", at, message, "the step accepts it");
    else
      this.#compiled.places.error(
        "flow",
        [...at, "with"],
        message,
        "need an `approve` step that shows the same references, or say `accepts: untrusted`",
      );
  }

  /** All that people are shown before this step, by approvals without which it does not run. */
  #approvalsBefore(step: Step): readonly Reference[] {
    const needed = this.#mustBeDone(step, new Set());
    return [...needed].flatMap((id) => {
      const before = this.#byId.get(id);
      if (before?.work.kind !== "approve") return [];
      return [...referencesOf(before.with), ...referencesOf(before.work.ask)];
    });
  }

  #mustBeDone(step: Step, seen: Set<string>): ReadonlySet<string> {
    const all = step.join.kind === "all" || (step.join.kind !== "settled" && step.needs.length === 1);
    const owner = step.standby ? this.#byId.get(step.standby.owner) : undefined;
    if (owner) return this.#mustBeDone(owner, seen);
    for (const id of all ? step.needs : []) {
      const need = this.#byId.get(id);
      // An approval that a fallback can stand in for is none.
      if (!need || seen.has(id) || need.onError.kind === "fallback") continue;
      seen.add(id);
      this.#mustBeDone(need, seen);
    }
    return seen;
  }

  #board(patterns: readonly string[]): Taint | undefined {
    for (const pattern of patterns) {
      const [writer] = writersOf(this.#matrix, pattern);
      if (writer !== undefined) return { origin: `board keys \`${pattern}\` that \`${writer}\` writes`, through: [] };
    }
    return undefined;
  }

  #ofExpression(expression: Expression, item: Taint | undefined): Taint | undefined {
    for (const reference of referencesOf(expression)) {
      const taint = this.#ofReference(reference, item);
      if (taint) return taint;
    }
    return undefined;
  }

  #ofReference({ root, name }: Reference, item: Taint | undefined): Taint | undefined {
    if (root === "input") return this.#input;
    if (root === "step") return this.#outputs.get(name);
    return root === "item" ? item : undefined;
  }
}

/** Only agents publish, and whatever they say is untrusted. */
const topicTaint = (topic: string): Taint => ({ origin: `messages on topic \`${topic}\``, through: [] });

const trail = ({ origin, through }: Taint): string => [origin, ...through.map((id) => `\`${id}\``)].join(" -> ");

/** What shows a whole shows its parts. */
const covers = (shown: Reference, used: Reference): boolean =>
  shown.root === used.root && shown.name === used.name && shown.path.every((name, index) => used.path[index] === name);
