/** Work that one agent gives another, as the mesh keeps it: who gave it, who has it, how it stands. */
import type { Label } from "./label.ts";

/**
 * `queued`: its message waits in the lane of its assignee. `assigned`: that message was handed out. `handed-off`: it
 * waits in the lane of the next one. The last three are ends.
 */
export type TaskState = "queued" | "assigned" | "working" | "blocked" | "handed-off" | "done" | "failed" | "expired";

/** What a delivery is about when it is about a task; agents act on this, never on the text beside it. */
export interface TaskNotice {
  readonly task: string;
  /** `assigned`: it is the reader's now. The others tell its creator how it ended. */
  readonly kind: "assigned" | "done" | "failed" | "expired";
}

export interface TaskView {
  readonly id: string;
  readonly title: string;
  readonly state: TaskState;
  /** Names of agents. */
  readonly creator: string;
  readonly assignee: string;
  /** The task in whose course its creator made it. */
  readonly parent: string | null;
  /** How many tasks led to this one, each made in the course of the one before; the first has 0. */
  readonly depth: number;
  /** How often it was handed off. */
  readonly hops: number;
  /** Every agent whose hands led here, in order: kept by the mesh. */
  readonly chain: readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly deadlineAtMs: number;
  /** Since when nobody has been heard of it; null while it moves. */
  readonly stalledAtMs: number | null;
  /** What the last one who changed it said. */
  readonly note: string;
  readonly result: string | null;
  readonly label: Label;
}

/** One change of a task. */
export interface TaskStep {
  readonly seq: number;
  readonly atMs: number;
  /** `agent:NAME` or `mesh`. */
  readonly by: string;
  readonly state: TaskState;
  readonly assignee: string;
  readonly note: string;
}

export interface TaskPage {
  readonly tasks: readonly TaskView[];
}

export interface TaskDetail extends TaskView {
  readonly input: string;
  readonly steps: readonly TaskStep[];
}
