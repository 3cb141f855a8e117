import { err, ok } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal } from "../../protocol/refusal.ts";
import type { TaskPage } from "../../protocol/task.ts";
import { detailOf, taskOf, viewOf } from "../orchestrator/record.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Handler } from "./request.ts";

/** Tasks among agents, as people see them. */
export const taskRoutes: Readonly<Record<string, Handler>> = {
  /** The open ones, oldest first, then the newest of those that have ended. */
  "GET /v1/tasks": ({ store }) => {
    const open = store.query.tasks.open(defaultTenant);
    const ids = new Set(open.map(({ id }) => id));
    const ended = store.query.tasks.newest(defaultTenant, limits.task.listTasksMax).filter(({ id }) => !ids.has(id));
    const tasks = [...open, ...ended].slice(0, limits.task.listTasksMax).map((row) => viewOf(taskOf(row)));
    return ok({ tasks } satisfies TaskPage);
  },
  "GET /v1/tasks/*": ({ store }, { name }) => {
    const detail = detailOf(store, name);
    return detail ? ok(detail) : err(refusal("not_found", `no task \`${name.slice(0, 64)}\``, "see `cordon tasks`"));
  },
};
