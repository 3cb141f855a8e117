import type { Prepare } from "../database.ts";

/**
 * The journal of workflow runs. `workflow_event` is the truth: rows are added and never changed; what stands in
 * `workflow_run` besides is there to list and to find what is open. A plan is kept for as long as the state is,
 * so that a run goes on with, and is replayed against, what it was started from.
 */
export const workflowTables = `
  CREATE TABLE workflow_plan (
    digest TEXT PRIMARY KEY,
    text   TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE workflow_run (
    ordinal        INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    tenant         TEXT NOT NULL,
    workflow       TEXT NOT NULL,
    plan           TEXT NOT NULL REFERENCES workflow_plan (digest),
    parent         TEXT,
    parent_task    TEXT,
    starter        TEXT NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('running', 'paused', 'succeeded', 'failed', 'cancelled')),
    reason         TEXT NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER
  ) STRICT;
  CREATE INDEX workflow_run_open ON workflow_run (tenant, ordinal) WHERE finished_at_ms IS NULL;
  CREATE UNIQUE INDEX workflow_run_child ON workflow_run (parent, parent_task) WHERE parent IS NOT NULL;

  CREATE TABLE workflow_event (
    run   TEXT NOT NULL,
    seq   INTEGER NOT NULL CHECK (seq >= 1),
    at_ms INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    data  TEXT NOT NULL,
    PRIMARY KEY (run, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE workflow_effect (
    run    TEXT NOT NULL,
    key    TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (run, key)
  ) STRICT, WITHOUT ROWID;
`;

/** What agents have called while they worked for a run. `id`: the hold of a model call, or one of a tool call's own. */
export const workflowCalls = `
  CREATE TABLE workflow_call (
    id          TEXT PRIMARY KEY,
    run         TEXT NOT NULL,
    task        TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('model', 'tool')),
    name        TEXT NOT NULL,
    begun_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    outcome     TEXT NOT NULL,
    tokens      INTEGER NOT NULL,
    micro_usd   INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX workflow_call_run ON workflow_call (run, begun_at_ms);
`;

export const workflowStatements = {
  /** (id, run, task, attempt, kind, name, begun_at_ms, ended_at_ms | null) */
  "workflow.beginCall": `INSERT INTO workflow_call
    (id, run, task, attempt, kind, name, begun_at_ms, ended_at_ms, outcome, tokens, micro_usd)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0)`,
  /** (ended_at_ms, outcome, tokens, micro_usd, id) */
  "workflow.endCall": "UPDATE workflow_call SET ended_at_ms = ?, outcome = ?, tokens = ?, micro_usd = ? WHERE id = ?",
  /** (digest, text: JSON): does nothing when it is there already. */
  "workflow.putPlan": "INSERT INTO workflow_plan (digest, text) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING",
  /** (id, tenant, workflow, plan, parent | null, parent_task | null, starter, created_at_ms): running. */
  "workflow.insertRun": `INSERT INTO workflow_run
    (id, tenant, workflow, plan, parent, parent_task, starter, status, reason, created_at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'running', '', ?)`,
  /** (status, reason, finished_at_ms | null, id) */
  "workflow.setStatus": "UPDATE workflow_run SET status = ?, reason = ?, finished_at_ms = ? WHERE id = ?",
  /** (run, seq, at_ms, kind, data: JSON): a second event of one number is a fault that stops the store. */
  "workflow.append": "INSERT INTO workflow_event (run, seq, at_ms, kind, data) VALUES (?, ?, ?, ?, ?)",
  /** (run, key, detail: JSON): the mark that an effect in this store was made, in one transaction with it. */
  "workflow.markEffect": "INSERT INTO workflow_effect (run, key, detail) VALUES (?, ?, ?)",
} as const;

export type RunStatus = "running" | "paused" | "succeeded" | "failed" | "cancelled";

export interface WorkflowRunRow {
  readonly ordinal: number;
  readonly id: string;
  readonly workflow: string;
  /** Digest of the plan. */
  readonly plan: string;
  readonly parent: string | null;
  readonly parentTask: string | null;
  /** `principal:NAME`, or what else caused it. */
  readonly starter: string;
  readonly status: RunStatus;
  readonly reason: string;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
}
/** `data` is JSON. */
export interface WorkflowEventRow {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly data: string;
}

/** `endedAtMs` null: under way, or broken off by the end of the mesh. */
export interface WorkflowCallRow {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly kind: "model" | "tool";
  readonly name: string;
  readonly begunAtMs: number;
  readonly endedAtMs: number | null;
  readonly outcome: string;
  readonly tokens: number;
  readonly microUsd: number;
}

const RUN = `ordinal, id, workflow, plan, parent, parent_task AS parentTask, starter, status, reason,
  created_at_ms AS createdAtMs, finished_at_ms AS finishedAtMs`;

export function workflowQueries(prepare: Prepare) {
  const plan = prepare<{ text: string }>("SELECT text FROM workflow_plan WHERE digest = ?");
  const run = prepare<WorkflowRunRow>(`SELECT ${RUN} FROM workflow_run WHERE tenant = ? AND id = ?`);
  const open = prepare<WorkflowRunRow>(
    `SELECT ${RUN} FROM workflow_run WHERE tenant = ? AND finished_at_ms IS NULL ORDER BY ordinal`,
  );
  const newest = prepare<WorkflowRunRow>(
    `SELECT ${RUN} FROM workflow_run WHERE tenant = ? AND ordinal < ? ORDER BY ordinal DESC LIMIT ?`,
  );
  const child = prepare<WorkflowRunRow>(
    `SELECT ${RUN} FROM workflow_run WHERE tenant = ? AND parent = ? AND parent_task = ?`,
  );
  const events = prepare<WorkflowEventRow>(
    "SELECT seq, at_ms AS atMs, kind, data FROM workflow_event WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
  );
  const children = prepare<WorkflowRunRow>(`SELECT ${RUN} FROM workflow_run WHERE parent = ? ORDER BY ordinal LIMIT ?`);
  const calls = prepare<WorkflowCallRow>(
    `SELECT id, task, attempt, kind, name, begun_at_ms AS begunAtMs, ended_at_ms AS endedAtMs, outcome, tokens,
      micro_usd AS microUsd FROM workflow_call WHERE run = ? ORDER BY begun_at_ms LIMIT ?`,
  );
  const effect = prepare<{ detail: string }>("SELECT detail FROM workflow_effect WHERE run = ? AND key = ?");
  return {
    plan: (digest: string): string | undefined => plan.get(digest)?.text,
    run: (tenant: string, id: string): WorkflowRunRow | undefined => run.get(tenant, id),
    /** Runs that have not ended, oldest first. */
    open: (tenant: string): WorkflowRunRow[] => open.all(tenant),
    /** Newest first, below `beforeOrdinal`. */
    newest: (tenant: string, beforeOrdinal: number, limit: number): WorkflowRunRow[] =>
      newest.all(tenant, beforeOrdinal, limit),
    child: (tenant: string, parent: string, task: string): WorkflowRunRow | undefined =>
      child.get(tenant, parent, task),
    events: (id: string, afterSeq: number, limit: number): WorkflowEventRow[] => events.all(id, afterSeq, limit),
    /** Runs that steps of this one have begun, oldest first. */
    children: (id: string, limit: number): WorkflowRunRow[] => children.all(id, limit),
    /** What agents have called for this run, oldest first. */
    calls: (id: string, limit: number): WorkflowCallRow[] => calls.all(id, limit),
    effect: (id: string, key: string): string | undefined => effect.get(id, key)?.detail,
  };
}
