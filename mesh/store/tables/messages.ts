import type { Prepare } from "../database.ts";

/** Inboxes of agents, and what agents answered to people. `lane` is the order of commit: first in, first out. */
export const messageTables = `
  CREATE TABLE message (
    lane          INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    tenant        TEXT NOT NULL,
    recipient     TEXT NOT NULL,
    sender        TEXT NOT NULL,
    conversation  TEXT NOT NULL,
    body          TEXT NOT NULL,
    label         TEXT NOT NULL,
    sent_at_ms    INTEGER NOT NULL,
    reply_to      TEXT,
    state         TEXT NOT NULL CHECK (state IN ('queued', 'settled')),
    settled_at_ms INTEGER
  ) STRICT;
  CREATE INDEX message_queued ON message (tenant, recipient, lane) WHERE state = 'queued';
  CREATE INDEX message_conversation ON message (tenant, conversation, lane);

  CREATE TABLE reply (
    lane         INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    tenant       TEXT NOT NULL,
    principal    TEXT NOT NULL,
    sender       TEXT NOT NULL,
    conversation TEXT NOT NULL,
    body         TEXT NOT NULL,
    label        TEXT NOT NULL,
    sent_at_ms   INTEGER NOT NULL,
    reply_to     TEXT
  ) STRICT;
  CREATE INDEX reply_conversation ON reply (tenant, conversation, lane);
`;

export const messageStatements = {
  /** (id, tenant, recipient, sender, conversation, body, label: JSON, sent_at_ms, reply_to | null): queued. */
  "messages.insert": `INSERT INTO message
    (id, tenant, recipient, sender, conversation, body, label, sent_at_ms, reply_to, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued')`,
  /** (settled_at_ms, tenant, id): does nothing when it is settled already. */
  "messages.settle": `UPDATE message SET state = 'settled', settled_at_ms = ?
    WHERE tenant = ? AND id = ? AND state = 'queued'`,
  /** (settled_at_ms, tenant, recipient): empties an inbox, for an agent that was removed. */
  "messages.settleInbox": `UPDATE message SET state = 'settled', settled_at_ms = ?
    WHERE tenant = ? AND recipient = ? AND state = 'queued'`,
  /** (id, tenant, principal, sender, conversation, body, label: JSON, sent_at_ms, reply_to | null) */
  "replies.insert": `INSERT INTO reply
    (id, tenant, principal, sender, conversation, body, label, sent_at_ms, reply_to)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
} as const;

/** `label` is JSON. */
export interface MessageRow {
  readonly lane: number;
  readonly id: string;
  readonly recipient: string;
  readonly sender: string;
  readonly conversation: string;
  readonly body: string;
  readonly label: string;
  readonly sentAtMs: number;
  readonly replyTo: string | null;
  readonly state: "queued" | "settled";
  readonly settledAtMs: number | null;
}
export interface ReplyRow {
  readonly lane: number;
  readonly id: string;
  readonly principal: string;
  readonly sender: string;
  readonly conversation: string;
  readonly body: string;
  readonly label: string;
  readonly sentAtMs: number;
  readonly replyTo: string | null;
}

const MESSAGE = `lane, id, recipient, sender, conversation, body, label, sent_at_ms AS sentAtMs, reply_to AS replyTo,
  state, settled_at_ms AS settledAtMs`;
const REPLY = "lane, id, principal, sender, conversation, body, label, sent_at_ms AS sentAtMs, reply_to AS replyTo";

export function messageQueries(prepare: Prepare) {
  const queued = prepare<MessageRow>(
    `SELECT ${MESSAGE} FROM message WHERE tenant = ? AND recipient = ? AND state = 'queued' AND lane > ?
     ORDER BY lane LIMIT ?`,
  );
  const queuedCount = prepare<{ n: number }>(
    "SELECT count(*) AS n FROM message WHERE tenant = ? AND recipient = ? AND state = 'queued'",
  );
  const get = prepare<MessageRow>(`SELECT ${MESSAGE} FROM message WHERE tenant = ? AND id = ?`);
  const conversation = prepare<MessageRow>(
    `SELECT ${MESSAGE} FROM message WHERE tenant = ? AND conversation = ? AND lane > ? ORDER BY lane LIMIT ?`,
  );
  return {
    /** What waits for `recipient` after `afterLane` (0 = from the start), in the order of commit. */
    queued: (tenant: string, recipient: string, afterLane: number, limit: number): MessageRow[] =>
      queued.all(tenant, recipient, afterLane, limit),
    queuedCount: (tenant: string, recipient: string): number => queuedCount.get(tenant, recipient)?.n ?? 0,
    get: (tenant: string, id: string): MessageRow | undefined => get.get(tenant, id),
    conversation: (tenant: string, name: string, afterLane: number, limit: number): MessageRow[] =>
      conversation.all(tenant, name, afterLane, limit),
  };
}

export function replyQueries(prepare: Prepare) {
  const after = prepare<ReplyRow>(
    `SELECT ${REPLY} FROM reply WHERE tenant = ? AND conversation = ? AND lane > ? ORDER BY lane LIMIT ?`,
  );
  return {
    /** Answers to people in a conversation after `afterLane` (0 = from the start), in the order of commit. */
    after: (tenant: string, conversation: string, afterLane: number, limit: number): ReplyRow[] =>
      after.all(tenant, conversation, afterLane, limit),
  };
}
