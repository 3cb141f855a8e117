import type { Label } from "../../protocol/label.ts";
import type { TaskDetail, TaskView } from "../../protocol/task.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import type { TaskRow } from "../store/tables/tasks.ts";

/** A task as it is held in memory and on the disk. */
export interface Task extends Omit<TaskView, "label"> {
  readonly input: string;
  /** Of what was handed over. */
  readonly label: Label;
  readonly resultLabel: Label | null;
}

export const taskOf = (row: TaskRow): Task => ({
  ...row,
  chain: JSON.parse(row.chain) as string[],
  label: JSON.parse(row.label) as Label,
  resultLabel: row.resultLabel === null ? null : (JSON.parse(row.resultLabel) as Label),
});

/** Without what was handed over, which may be large. */
export function viewOf({ input, resultLabel, ...task }: Task): TaskView {
  void input;
  return { ...task, label: resultLabel ?? task.label };
}

/** One task with its whole story; undefined when there is none of that id. */
export function detailOf(store: Store, id: string): TaskDetail | undefined {
  const row = store.query.tasks.get(defaultTenant, id);
  const steps = row && store.query.tasks.steps(id);
  return row && steps && { ...viewOf(taskOf(row)), input: row.input, steps };
}

export function putWrite(task: Task): Write {
  const { id, title, input, creator, parent, depth, createdAtMs, deadlineAtMs, assignee, state, hops, note } = task;
  const { label, chain, updatedAtMs, stalledAtMs, result, resultLabel } = task;
  return [
    ...(["tasks.put", id, defaultTenant, title, input, JSON.stringify(label), creator, parent, depth] as const),
    ...[createdAtMs, deadlineAtMs, assignee, state, hops, JSON.stringify(chain), updatedAtMs, stalledAtMs, note],
    ...[result, resultLabel === null ? null : JSON.stringify(resultLabel)],
  ];
}

export const stepWrite = ({ id, state, assignee, note, stalledAtMs }: Task, by: string, atMs: number): Write => [
  ...([
    "tasks.insertStep",
    id,
    atMs,
    by,
    state,
    assignee,
    stalledAtMs === null ? note : "nothing was heard of it",
  ] as const),
];
