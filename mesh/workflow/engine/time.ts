import type { Json } from "../../../lib/json.ts";
import type { Task, WaitUntil } from "../definition.ts";
import type { FailureCode } from "./event.ts";
import type { TaskState } from "./state.ts";

export type TimeOutcome =
  | { readonly kind: "concluded"; readonly output: Json }
  | { readonly kind: "broken"; readonly code: FailureCode; readonly reason: string };

/** What the time alone has brought a running task to, if anything. */
export function outcomeOfTime(definition: Task, task: TaskState, nowMs: number): TimeOutcome | undefined {
  const { work, timeoutMs } = definition;
  if (work.kind === "wait" && endsByTime(work.until)) {
    const atMs = waitEndMs(definition, task);
    if (Number.isNaN(atMs)) return { kind: "broken", code: "input", reason: "`at` is not an RFC 3339 date and time" };
    if (nowMs >= atMs) return { kind: "concluded", output: null };
  }
  if (work.kind === "approve" && nowMs >= task.sinceMs + work.expiresMs)
    return { kind: "broken", code: "expired", reason: "nobody has answered in time" };
  if (nowMs < task.sinceMs + timeoutMs) return undefined;
  return { kind: "broken", code: "timeout", reason: `not done within ${timeoutMs} ms` };
}

/** When `outcomeOfTime` or the end of a back-off will say something; Infinity = never. */
export function dueAtMs(definition: Task, task: TaskState): number {
  if (task.phase === "backoff") return task.retryAtMs;
  if (task.phase !== "running") return Infinity;
  const { work, timeoutMs } = definition;
  const limit = task.sinceMs + timeoutMs;
  if (work.kind === "approve") return Math.min(limit, task.sinceMs + work.expiresMs);
  return work.kind === "wait" && endsByTime(work.until) ? Math.min(limit, waitEndMs(definition, task)) : limit;
}

function waitEndMs({ work }: Task, task: TaskState): number {
  if (work.kind !== "wait" || !endsByTime(work.until)) return Infinity;
  if (work.until.kind === "duration") return task.sinceMs + work.until.ms;
  const at = (task.input as { readonly at?: unknown } | null)?.at;
  return typeof at === "string" && RFC_3339.test(at) ? Date.parse(at) : NaN;
}

const endsByTime = ({ kind }: WaitUntil): boolean => kind === "duration" || kind === "time";

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;
