import type { TaskState } from "../../protocol/task.ts";

/** What may follow what. Pure; what is not here cannot happen. */
const following: Readonly<Record<TaskState, readonly TaskState[]>> = {
  queued: ["assigned", "failed", "expired"],
  assigned: ["working", "blocked", "handed-off", "done", "failed", "expired"],
  working: ["blocked", "handed-off", "done", "failed", "expired"],
  blocked: ["working", "handed-off", "done", "failed", "expired"],
  "handed-off": ["assigned", "failed", "expired"],
  done: [],
  failed: [],
  expired: [],
};

export const mayFollow = (from: TaskState, to: TaskState): boolean => following[from].includes(to);
export const isEnd = (state: TaskState): boolean => following[state].length === 0;
/** What its assignee may say again, to show that it is alive. */
export const isAtHand = (state: TaskState): boolean => state === "working" || state === "blocked";
/** Whether its assignee is at it: only then is silence a stall. */
export const isAtWork = (state: TaskState): boolean => state === "assigned" || state === "working";
