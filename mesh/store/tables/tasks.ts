import type { TaskState } from "../../../protocol/task.ts";
import type { Prepare } from "../database.ts";

/** Tasks that agents give one another, each change of them, and which message of a lane tells of which. */
export const taskTables = `
  CREATE TABLE task (
    id             TEXT PRIMARY KEY,
    tenant         TEXT NOT NULL,
    title          TEXT NOT NULL,
    input          TEXT NOT NULL,
    label          TEXT NOT NULL,
    creator        TEXT NOT NULL,
    parent         TEXT,
    depth          INTEGER NOT NULL CHECK (depth >= 0),
    created_at_ms  INTEGER NOT NULL,
    deadline_at_ms INTEGER NOT NULL,
    assignee       TEXT NOT NULL,
    state          TEXT NOT NULL
      CHECK (state IN ('queued', 'assigned', 'working', 'blocked', 'handed-off', 'done', 'failed', 'expired')),
    hops           INTEGER NOT NULL CHECK (hops >= 0),
    chain          TEXT NOT NULL,
    updated_at_ms  INTEGER NOT NULL,
    stalled_at_ms  INTEGER,
    note           TEXT NOT NULL,
    result         TEXT,
    result_label   TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX task_open ON task (tenant, updated_at_ms) WHERE state NOT IN ('done', 'failed', 'expired');
  CREATE INDEX task_by_age ON task (tenant, created_at_ms);

  CREATE TABLE task_step (
    seq      INTEGER PRIMARY KEY,
    task     TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    by       TEXT NOT NULL,
    state    TEXT NOT NULL,
    assignee TEXT NOT NULL,
    note     TEXT NOT NULL
  ) STRICT;
  CREATE INDEX task_step_by_task ON task_step (task, seq);

  CREATE TABLE task_message (
    message TEXT PRIMARY KEY,
    task    TEXT NOT NULL,
    kind    TEXT NOT NULL CHECK (kind IN ('assigned', 'done', 'failed', 'expired'))
  ) STRICT, WITHOUT ROWID;
`;

export const taskStatements = {
  /**
   * (id, tenant, title, input, label: JSON, creator, parent | null, depth, created_at_ms, deadline_at_ms, assignee,
   * state, hops, chain: JSON, updated_at_ms, stalled_at_ms | null, note, result | null, result_label: JSON | null):
   * inserts, or changes what can change.
   */
  "tasks.put": `INSERT INTO task
    (id, tenant, title, input, label, creator, parent, depth, created_at_ms, deadline_at_ms, assignee, state, hops, chain,
     updated_at_ms, stalled_at_ms, note, result, result_label)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET assignee = excluded.assignee, state = excluded.state, hops = excluded.hops,
      chain = excluded.chain, updated_at_ms = excluded.updated_at_ms, stalled_at_ms = excluded.stalled_at_ms,
      note = excluded.note, result = excluded.result, result_label = excluded.result_label`,
  /** (task, at_ms, by, state, assignee, note) */
  "tasks.insertStep": "INSERT INTO task_step (task, at_ms, by, state, assignee, note) VALUES (?, ?, ?, ?, ?, ?)",
  /** (message, task, kind) */
  "tasks.insertMessage": "INSERT INTO task_message (message, task, kind) VALUES (?, ?, ?)",
} as const;

/** `label`, `chain` and `resultLabel` are JSON. */
export interface TaskRow {
  readonly id: string;
  readonly title: string;
  readonly input: string;
  readonly label: string;
  readonly creator: string;
  readonly parent: string | null;
  readonly depth: number;
  readonly createdAtMs: number;
  readonly deadlineAtMs: number;
  readonly assignee: string;
  readonly state: TaskState;
  readonly hops: number;
  readonly chain: string;
  readonly updatedAtMs: number;
  readonly stalledAtMs: number | null;
  readonly note: string;
  readonly result: string | null;
  readonly resultLabel: string | null;
}
export interface TaskStepRow {
  readonly seq: number;
  readonly atMs: number;
  readonly by: string;
  readonly state: TaskState;
  readonly assignee: string;
  readonly note: string;
}

const TASK = `id, title, input, label, creator, parent, depth, created_at_ms AS createdAtMs,
  deadline_at_ms AS deadlineAtMs, assignee, state, hops, chain, updated_at_ms AS updatedAtMs,
  stalled_at_ms AS stalledAtMs, note, result, result_label AS resultLabel`;

export function taskQueries(prepare: Prepare) {
  const open = prepare<TaskRow>(
    `SELECT ${TASK} FROM task WHERE tenant = ? AND state NOT IN ('done', 'failed', 'expired') ORDER BY created_at_ms, id`,
  );
  const get = prepare<TaskRow>(`SELECT ${TASK} FROM task WHERE tenant = ? AND id = ?`);
  const newest = prepare<TaskRow>(`SELECT ${TASK} FROM task WHERE tenant = ? ORDER BY created_at_ms DESC, id LIMIT ?`);
  const steps = prepare<TaskStepRow>(
    `SELECT seq, at_ms AS atMs, by, state, assignee, note FROM task_step WHERE task = ? ORDER BY seq`,
  );
  const held = prepare<{ task: string; assignee: string; atMs: number }>(
    `SELECT s.task, s.assignee, max(s.at_ms) AS atMs FROM task_step s JOIN task t ON t.id = s.task
     WHERE t.tenant = ? AND t.updated_at_ms >= ? GROUP BY s.task, s.assignee`,
  );
  const notice = prepare<{ task: string; kind: "assigned" | "done" | "failed" | "expired" }>(
    "SELECT task, kind FROM task_message WHERE message = ?",
  );
  return {
    /** Oldest first. */
    open: (tenant: string): TaskRow[] => open.all(tenant),
    get: (tenant: string, id: string): TaskRow | undefined => get.get(tenant, id),
    newest: (tenant: string, limit: number): TaskRow[] => newest.all(tenant, limit),
    steps: (task: string): TaskStepRow[] => steps.all(task),
    /** Who has had which task, of those that have changed since. */
    heldSince: (tenant: string, sinceMs: number) => held.all(tenant, sinceMs),
    /** What a message of a lane tells of a task; undefined for every other message. */
    notice: (message: string) => notice.get(message),
  };
}
