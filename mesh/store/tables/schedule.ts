import type { Prepare } from "../database.ts";

/** One row a tick, in the transaction of what it causes: the key is what makes a second firing impossible. */
export const scheduleTables = `
  CREATE TABLE schedule_tick (
    tenant      TEXT NOT NULL,
    job         TEXT NOT NULL,
    tick_ms     INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('first_seen', 'fired', 'missed', 'overlapped', 'idle', 'refused')),
    caused      TEXT,
    board_seq   INTEGER NOT NULL,
    topic_position INTEGER NOT NULL,
    PRIMARY KEY (tenant, job, tick_ms)
  ) STRICT, WITHOUT ROWID;
`;

/** What the address of a probe answered last. */
export const scheduleDigests = "ALTER TABLE schedule_tick ADD COLUMN url_digest TEXT;";

export const scheduleStatements = {
  /** (tenant, job, tick_ms, at_ms, outcome, caused | null, board_seq, topic_position, url_digest | null): no tick has two rows. */
  "schedule.insertTick": `INSERT INTO schedule_tick
    (tenant, job, tick_ms, at_ms, outcome, caused, board_seq, topic_position, url_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  /** (tenant, job, tick_ms): drops the ticks before; the newest of a job stays in any case. */
  "schedule.trimTicks": `DELETE FROM schedule_tick WHERE tenant = ?1 AND job = ?2 AND tick_ms < ?3
    AND tick_ms < (SELECT max(tick_ms) FROM schedule_tick WHERE tenant = ?1 AND job = ?2)`,
} as const;

/** `boardSeq` and `topicPosition`: how far the probes of this tick had looked. */
export interface TickRow {
  readonly job: string;
  readonly tickMs: number;
  readonly atMs: number;
  readonly outcome: "first_seen" | "fired" | "missed" | "overlapped" | "idle" | "refused";
  readonly caused: string | null;
  readonly boardSeq: number;
  readonly topicPosition: number;
  readonly urlDigest: string | null;
}

const TICK = `job, tick_ms AS tickMs, at_ms AS atMs, outcome, caused, board_seq AS boardSeq,
  topic_position AS topicPosition, url_digest AS urlDigest`;

export function scheduleQueries(prepare: Prepare) {
  const last = prepare<TickRow>(
    `SELECT ${TICK} FROM schedule_tick WHERE tenant = ? AND job = ? ORDER BY tick_ms DESC LIMIT 1`,
  );
  const ticks = prepare<TickRow>(
    `SELECT ${TICK} FROM schedule_tick WHERE tenant = ? AND job = ? ORDER BY tick_ms DESC LIMIT ?`,
  );
  return {
    /** The newest tick of a job, whatever became of it. */
    last: (tenant: string, job: string): TickRow | undefined => last.get(tenant, job),
    /** Newest first. */
    ticks: (tenant: string, job: string, limit: number): TickRow[] => ticks.all(tenant, job, limit),
  };
}
