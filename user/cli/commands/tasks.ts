import { printableLine } from "../../../lib/text.ts";
import { formatDuration } from "../../../lib/units.ts";
import type { TaskDetail, TaskState, TaskView } from "../../../protocol/task.ts";
import { jsonOption, stateOptions, type Command } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { usageFailure } from "../failure.ts";
import { tint, type Tinted, type Tone } from "../line.ts";
import { placesOf } from "../places.ts";
import type { Terminal } from "../terminal.ts";

export const tasks: Command = {
  name: "tasks",
  summary: "list the tasks that agents have given one another, or look at one",
  usage: "[show TASK] [--json] [--state DIR]",
  options: { ...jsonOption, ...stateOptions },
  words: [0, 2],
  notes: ["tasks show TASK: who led to it, every change, and its result"],
  async run(input, context) {
    const [word, id] = input.words;
    if (word !== undefined && (word !== "show" || id === undefined))
      throw usageFailure(`\`cordon tasks\` has no \`${[word, id].join(" ").trim()}\``, "use `cordon tasks show TASK`");
    const desk = await openDesk(placesOf(input, context).state);
    if (id !== undefined) {
      const task = await desk.task(id);
      if (input.flag("json")) context.terminal.json(task);
      else showTask(context.terminal, task);
      return 0;
    }
    const page = await desk.tasks();
    if (input.flag("json")) context.terminal.json(page);
    else if (page.tasks.length === 0) context.terminal.print("no agent has given another a task yet");
    else list(context.terminal, page.tasks, context.clock.nowMs());
    return 0;
  },
};

const tones: Partial<Readonly<Record<TaskState, Tone>>> = {
  ...{ done: "good", failed: "bad", expired: "bad", blocked: "warn", working: "accent" },
};
const stateOf = ({ state, stalledAtMs }: Pick<TaskView, "state" | "stalledAtMs">): Tinted =>
  stalledAtMs === null ? tint(tones[state] ?? "faint", state) : tint("warn", `${state}, stalled`);

function list(terminal: Terminal, page: readonly TaskView[], nowMs: number): void {
  terminal.table(
    ["TASK", "STATE", "FROM", "WITH", "DEPTH", "AGE", "TITLE"],
    page.map((task) => [
      ...[task.id, stateOf(task), task.creator, task.assignee, task.depth],
      ...[formatDuration(Math.max(0, nowMs - task.createdAtMs)), task.title],
    ]),
  );
}

export function showTask(terminal: Terminal, task: TaskDetail): void {
  terminal.print([tint("strong", printableLine(task.title)), ` ${task.id} `, stateOf(task)]);
  terminal.print(`  from ${task.creator}, with ${task.assignee}, depth ${task.depth}, handed off ${task.hops} times`);
  terminal.print(
    `  led to by ${[...task.chain].join(" → ")}${task.parent === null ? "" : `, in the course of ${task.parent}`}`,
  );
  terminal.print(`  until ${new Date(task.deadlineAtMs).toISOString()}`);
  terminal.table(
    ["WHEN", "BY", "STATE", "WITH", "NOTE"],
    task.steps.map(({ atMs, by, state, assignee, note }) => [new Date(atMs).toISOString(), by, state, assignee, note]),
  );
  // Told apart from the mesh's own words above by its place, whatever lines it has.
  if (task.result !== null) for (const line of task.result.split("\n")) terminal.print([tint("faint", "  │ "), line]);
}
