import type { Prepare } from "../database.ts";

/** Ids are for ever; a name may come back with a new id. Rows are never deleted: they are evidence. */
export const agentTables = `
  CREATE TABLE agent (
    id            TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL,
    name          TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    generation    INTEGER NOT NULL CHECK (generation >= 0),
    desired       TEXT NOT NULL CHECK (desired IN ('running', 'stopped')),
    removed_at_ms INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX agent_live_name ON agent (tenant, name) WHERE removed_at_ms IS NULL;
`;

export const agentStatements = {
  /** (id, tenant, name, created_at_ms): generation 0, desired `running`; one live row a name. */
  "agents.insert": `INSERT INTO agent (id, tenant, name, created_at_ms, generation, desired)
    VALUES (?, ?, ?, ?, 0, 'running')`,
  /** (generation, id): never goes back. */
  "agents.setGeneration": "UPDATE agent SET generation = max(generation, ?) WHERE id = ?",
  /** (desired: 'running' | 'stopped', id) */
  "agents.setDesired": "UPDATE agent SET desired = ? WHERE id = ?",
  /** (removed_at_ms, id): does nothing when it is removed already. */
  "agents.remove": "UPDATE agent SET removed_at_ms = ? WHERE id = ? AND removed_at_ms IS NULL",
} as const;

export interface AgentRow {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly generation: number;
  readonly desired: "running" | "stopped";
  readonly removedAtMs: number | null;
}

const AGENT = "id, tenant, name, created_at_ms AS createdAtMs, generation, desired, removed_at_ms AS removedAtMs";

export function agentQueries(prepare: Prepare) {
  const live = prepare<AgentRow>(`SELECT ${AGENT} FROM agent WHERE tenant = ? AND removed_at_ms IS NULL ORDER BY name`);
  const all = prepare<AgentRow>(`SELECT ${AGENT} FROM agent WHERE tenant = ? ORDER BY created_at_ms, id`);
  const get = prepare<AgentRow>(`SELECT ${AGENT} FROM agent WHERE id = ?`);
  const byName = prepare<AgentRow>(
    `SELECT ${AGENT} FROM agent WHERE tenant = ? AND name = ? AND removed_at_ms IS NULL`,
  );
  return {
    live: (tenant: string): AgentRow[] => live.all(tenant),
    /** The removed among them. */
    all: (tenant: string): AgentRow[] => all.all(tenant),
    get: (id: string): AgentRow | undefined => get.get(id),
    /** The live agent of that name. */
    byName: (tenant: string, name: string): AgentRow | undefined => byName.get(tenant, name),
  };
}
