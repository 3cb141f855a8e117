import type { Prepare } from "../database.ts";

/**
 * Topics of the bus: a log each, whose positions grow by one. A subscription has settled all that is at or below its
 * cursor; `topic_delivery` holds what it has settled or taken above the cursor, and a dead letter why it never was.
 */
export const topicTables = `
  CREATE TABLE topic_message (
    tenant         TEXT NOT NULL,
    topic          TEXT NOT NULL,
    position       INTEGER NOT NULL CHECK (position >= 1),
    id             TEXT NOT NULL UNIQUE,
    sender         TEXT NOT NULL,
    sender_session TEXT NOT NULL,
    body           TEXT NOT NULL,
    label          TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    expires_at_ms  INTEGER,
    reply_until_ms INTEGER,
    PRIMARY KEY (tenant, topic, position)
  ) STRICT;

  CREATE TABLE topic_dedupe (
    tenant   TEXT NOT NULL,
    topic    TEXT NOT NULL,
    sender   TEXT NOT NULL,
    key      TEXT NOT NULL,
    id       TEXT NOT NULL,
    position INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, topic, sender, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX topic_dedupe_by_end ON topic_dedupe (until_ms);

  CREATE TABLE topic_subscription (
    tenant        TEXT NOT NULL,
    topic         TEXT NOT NULL,
    subscriber    TEXT NOT NULL,
    cursor        INTEGER NOT NULL CHECK (cursor >= 0),
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, topic, subscriber)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE topic_delivery (
    tenant     TEXT NOT NULL,
    topic      TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    position   INTEGER NOT NULL,
    attempts   INTEGER NOT NULL CHECK (attempts >= 0),
    settled    INTEGER NOT NULL CHECK (settled IN (0, 1)),
    PRIMARY KEY (tenant, topic, subscriber, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE topic_dead_letter (
    tenant     TEXT NOT NULL,
    topic      TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    position   INTEGER NOT NULL,
    id         TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (tenant, topic, subscriber, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE topic_reply (
    tenant    TEXT NOT NULL,
    request   TEXT NOT NULL,
    responder TEXT NOT NULL,
    body      TEXT NOT NULL,
    label     TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    PRIMARY KEY (tenant, request, responder)
  ) STRICT;
`;

export const topicStatements = {
  /** (tenant, topic, position, id, sender, sender_session, body, label: JSON, at_ms, expires_at_ms | null, reply_until_ms | null) */
  "topics.insert": `INSERT INTO topic_message
    (tenant, topic, position, id, sender, sender_session, body, label, at_ms, expires_at_ms, reply_until_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  /** (tenant, topic, position): drops the log up to `position`, that one included. */
  "topics.trim": "DELETE FROM topic_message WHERE tenant = ? AND topic = ? AND position <= ?",
  /** (tenant, topic, position): drops the replies to what `topics.trim` drops; run it before. */
  "topics.trimReplies": `DELETE FROM topic_reply WHERE tenant = ?1 AND request IN
    (SELECT id FROM topic_message WHERE tenant = ?1 AND topic = ?2 AND position <= ?3)`,
  /** (tenant, topic, sender, key, id, position, until_ms): an older entry of that key has ended. */
  "topics.putDedupe": `INSERT INTO topic_dedupe (tenant, topic, sender, key, id, position, until_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant, topic, sender, key)
    DO UPDATE SET id = excluded.id, position = excluded.position, until_ms = excluded.until_ms`,
  /** (until_ms): forgets what ended before. */
  "topics.forgetDedupe": "DELETE FROM topic_dedupe WHERE until_ms < ?",
  /** (tenant, topic, subscriber, cursor, created_at_ms): inserts, or moves the cursor; it never moves back. */
  "topics.putCursor": `INSERT INTO topic_subscription (tenant, topic, subscriber, cursor, created_at_ms)
    VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (tenant, topic, subscriber) DO UPDATE SET cursor = max(cursor, excluded.cursor)`,
  /** (tenant, topic, subscriber, position, attempts, settled: 0 | 1): inserts or replaces. */
  "topics.putDelivery": `INSERT INTO topic_delivery (tenant, topic, subscriber, position, attempts, settled)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant, topic, subscriber, position)
    DO UPDATE SET attempts = excluded.attempts, settled = excluded.settled`,
  /** (tenant, topic, subscriber, cursor): forgets the deliveries up to the cursor. */
  "topics.forgetDeliveries":
    "DELETE FROM topic_delivery WHERE tenant = ? AND topic = ? AND subscriber = ? AND position <= ?",
  /** (tenant, topic, subscriber, position, id, reason, at_ms): the first reason stays. */
  "topics.insertDeadLetter": `INSERT INTO topic_dead_letter (tenant, topic, subscriber, position, id, reason, at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, topic, subscriber, position) DO NOTHING`,
  /** (tenant, topic, subscriber, position): forgets those up to `position`. */
  "topics.forgetDeadLetters":
    "DELETE FROM topic_dead_letter WHERE tenant = ? AND topic = ? AND subscriber = ? AND position <= ?",
  /** (tenant, subscriber), as are the next two */
  "topics.removeSubscriptions": "DELETE FROM topic_subscription WHERE tenant = ? AND subscriber = ?",
  "topics.removeDeliveries": "DELETE FROM topic_delivery WHERE tenant = ? AND subscriber = ?",
  "topics.removeDeadLetters": "DELETE FROM topic_dead_letter WHERE tenant = ? AND subscriber = ?",
  /** (tenant, sender) */
  "topics.removeDedupe": "DELETE FROM topic_dedupe WHERE tenant = ? AND sender = ?",
  /** (tenant, sender): nobody can read the answers to its requests any more. */
  "topics.closeRequests":
    "UPDATE topic_message SET reply_until_ms = NULL WHERE tenant = ? AND sender = ? AND reply_until_ms IS NOT NULL",
  /** (tenant, request, responder, body, label: JSON, at_ms) */
  "topics.insertReply": `INSERT INTO topic_reply (tenant, request, responder, body, label, at_ms)
    VALUES (?, ?, ?, ?, ?, ?)`,
} as const;

/** `label` is JSON. */
export interface TopicMessageRow {
  readonly topic: string;
  readonly position: number;
  readonly id: string;
  readonly sender: string;
  readonly senderSession: string;
  readonly body: string;
  readonly label: string;
  readonly atMs: number;
  readonly expiresAtMs: number | null;
  readonly replyUntilMs: number | null;
}
export interface TopicExtentRow {
  readonly topic: string;
  readonly first: number;
  readonly last: number;
  /** Of one of its messages. */
  readonly sender: string;
}
export interface SubscriptionRow {
  readonly topic: string;
  readonly subscriber: string;
  readonly cursor: number;
}
export interface TopicDeliveryRow {
  readonly position: number;
  readonly attempts: number;
  readonly settled: 0 | 1;
}
export interface DeadLetterRow {
  readonly position: number;
  readonly id: string;
  readonly reason: string;
  readonly atMs: number;
}
export interface TopicReplyRow {
  readonly responder: string;
  readonly body: string;
  readonly label: string;
  readonly atMs: number;
}

const MESSAGE = `topic, position, id, sender, sender_session AS senderSession, body, label, at_ms AS atMs,
  expires_at_ms AS expiresAtMs, reply_until_ms AS replyUntilMs`;

export function topicQueries(prepare: Prepare) {
  const extents = prepare<TopicExtentRow>(
    "SELECT topic, min(position) AS first, max(position) AS last, sender FROM topic_message WHERE tenant = ? GROUP BY topic",
  );
  const after = prepare<TopicMessageRow>(
    `SELECT ${MESSAGE} FROM topic_message WHERE tenant = ? AND topic = ? AND position > ? ORDER BY position LIMIT ?`,
  );
  const byId = prepare<TopicMessageRow>(`SELECT ${MESSAGE} FROM topic_message WHERE tenant = ? AND id = ?`);
  const dedupe = prepare<{ id: string; position: number; untilMs: number }>(
    `SELECT id, position, until_ms AS untilMs FROM topic_dedupe
     WHERE tenant = ? AND topic = ? AND sender = ? AND key = ?`,
  );
  const subscriptions = prepare<SubscriptionRow>(
    "SELECT topic, subscriber, cursor FROM topic_subscription WHERE tenant = ?",
  );
  const deliveries = prepare<TopicDeliveryRow>(
    `SELECT position, attempts, settled FROM topic_delivery WHERE tenant = ? AND topic = ? AND subscriber = ?
     ORDER BY position`,
  );
  const deadLetters = prepare<DeadLetterRow>(
    `SELECT position, id, reason, at_ms AS atMs FROM topic_dead_letter
     WHERE tenant = ? AND topic = ? AND subscriber = ? AND position > ? ORDER BY position LIMIT ?`,
  );
  const replies = prepare<TopicReplyRow>(
    `SELECT responder, body, label, at_ms AS atMs FROM topic_reply WHERE tenant = ? AND request = ? ORDER BY rowid`,
  );
  return {
    /** First and last position that is still there, of every topic. */
    extents: (tenant: string): TopicExtentRow[] => extents.all(tenant),
    after: (tenant: string, topic: string, position: number, limit: number): TopicMessageRow[] =>
      after.all(tenant, topic, position, limit),
    byId: (tenant: string, id: string): TopicMessageRow | undefined => byId.get(tenant, id),
    dedupe: (tenant: string, topic: string, sender: string, key: string) => dedupe.get(tenant, topic, sender, key),
    subscriptions: (tenant: string): SubscriptionRow[] => subscriptions.all(tenant),
    deliveries: (tenant: string, topic: string, subscriber: string): TopicDeliveryRow[] =>
      deliveries.all(tenant, topic, subscriber),
    deadLetters: (tenant: string, topic: string, subscriber: string, after: number, limit: number): DeadLetterRow[] =>
      deadLetters.all(tenant, topic, subscriber, after, limit),
    /** In the order of commit. */
    replies: (tenant: string, request: string): TopicReplyRow[] => replies.all(tenant, request),
  };
}
