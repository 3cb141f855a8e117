import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import type { DeadLetterRow, TopicMessageRow } from "../store/tables/topics.ts";
import { Subscription } from "./subscription.ts";
import { Waiting } from "./waiting.ts";

export interface Publication {
  readonly topic: string;
  /** `agent:NAME` or `principal:NAME`. */
  readonly sender: string;
  readonly session: string;
  readonly body: string;
  readonly label: Label;
  /** The same key of the same sender within the window is the same message. */
  readonly dedupeKey?: string | undefined;
  readonly ttlSeconds?: number | undefined;
  /** Set: subscribers may answer for so long. */
  readonly replySeconds?: number | undefined;
}

export interface Published {
  readonly id: string;
  readonly position: number;
  readonly duplicate: boolean;
  readonly writes: readonly Write[];
  done(): void;
}

export interface TopicMessage {
  readonly id: string;
  readonly position: number;
  readonly sender: string;
  readonly body: string;
  readonly label: Label;
  readonly atMs: number;
  /** How often this subscriber has been handed it, this time included; 0 in a replay. */
  readonly attempt: number;
  readonly replyUntilMs: number | null;
}

/** `pending`: positions given out whose rows are on their way to the disk. */
interface Log {
  first: number;
  last: number;
  pending: number;
  readonly subscriptions: Map<string, Subscription>;
}

/**
 * Topics: a bounded log each, read by durable subscriptions at their own pace. A subscriber that lags loses the oldest
 * messages, told as dead letters; it never holds up those who publish or the other subscribers.
 */
export class Topics {
  readonly waiting: Waiting;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #ids: Id;
  readonly #logs = new Map<string, Log>();
  /** Keys whose rows are on their way to the disk. */
  readonly #deduping = new Map<string, { readonly id: string; readonly position: number; readonly untilMs: number }>();
  /** Topics by who began them: a sender; after a start, one of their senders. */
  readonly #begun = new Map<string, number>();
  #publications = 0;
  #onNews: (agent: string) => void = () => undefined;

  constructor(store: Store, clock: Clock, ids: Id) {
    this.#store = store;
    this.#clock = clock;
    this.#ids = ids;
    this.waiting = new Waiting(clock);
    const { topics } = store.query;
    for (const { topic, first, last, sender } of topics.extents(defaultTenant)) {
      this.#logs.set(topic, { first, last, pending: 0, subscriptions: new Map() });
      this.#count(sender);
    }
    for (const { topic, subscriber, cursor } of topics.subscriptions(defaultTenant)) {
      const open = topics.deliveries(defaultTenant, topic, subscriber);
      const log = this.#logs.get(topic) ?? this.#begin(topic, `agent:${subscriber}`);
      log.subscriptions.set(subscriber, new Subscription(topic, subscriber, cursor, open));
    }
  }

  /** `listener` is told of each agent for which something has come, when it is on disk; may be asked for only once. */
  observe(listener: (agent: string) => void): void {
    this.#onNews = listener;
  }

  /** Something has come for an agent. */
  tell(agent: string): void {
    this.#onNews(agent);
  }

  /** Subscribers that have not worked off all that lies in the logs of their topics. */
  behind(): Set<string> {
    const names = new Set<string>();
    for (const { last, subscriptions } of this.#logs.values())
      for (const { subscriber, cursor } of subscriptions.values()) if (cursor < last) names.add(subscriber);
    return names;
  }

  /** Commit `writes`, then call `done`. A duplicate has no rows of its own, but comes after those of the first. */
  publish(publication: Publication): Result<Published, Refusal> {
    const { topic, sender, dedupeKey, ttlSeconds, replySeconds } = publication;
    const earlier = dedupeKey === undefined ? undefined : this.#duplicate(topic, sender, dedupeKey);
    if (earlier) return ok({ ...earlier, duplicate: true, writes: [], done: () => {} });
    const full = this.#full(topic, sender);
    if (full) return err(full);
    const log = this.#logs.get(topic) ?? this.#begin(topic, sender);
    if (log.pending >= limits.topic.messagesPendingMax)
      return err(refusal("busy", `topic \`${topic}\` waits for the disk`, "publish more slowly"));
    const nowMs = this.#clock.nowMs();
    const id = this.#nextId(nowMs);
    const position = ++log.last;
    log.pending++;
    const after = (seconds: number | undefined): number | null =>
      seconds === undefined ? null : nowMs + seconds * 1000;
    const writes: Write[] = [
      [
        ...(["topics.insert", defaultTenant, topic, position, id, sender, publication.session] as const),
        ...([
          publication.body,
          JSON.stringify(publication.label),
          nowMs,
          after(ttlSeconds),
          after(replySeconds),
        ] as const),
      ],
    ];
    if (dedupeKey !== undefined) writes.push(...this.#remember(topic, sender, dedupeKey, { id, position }, nowMs));
    writes.push(...this.#trim(topic, log, nowMs));
    return ok({
      ...{ id, position, writes },
      duplicate: false,
      done: () => {
        log.pending--;
        if (dedupeKey !== undefined) this.#deduping.delete(dedupeName(topic, sender, dedupeKey));
        this.waiting.wake(topic);
        for (const subscriber of log.subscriptions.keys()) this.tell(subscriber);
      },
    });
  }

  /** The subscription of `subscriber`, made at the oldest message when there is none; commit `writes` with what follows. */
  subscribe(
    topic: string,
    subscriber: string,
  ): Result<{ readonly subscription: Subscription; readonly writes: Write[] }, Refusal> {
    const full = this.#full(topic, `agent:${subscriber}`);
    if (full) return err(full);
    const log = this.#logs.get(topic) ?? this.#begin(topic, `agent:${subscriber}`);
    const known = log.subscriptions.get(subscriber);
    if (known) return ok({ subscription: known, writes: [] });
    if (log.subscriptions.size >= limits.topic.subscriptionsPerTopicMax)
      return err(
        refusal("too_large", `topic \`${topic}\` has ${log.subscriptions.size} subscriptions`, "use another topic"),
      );
    const subscription = new Subscription(topic, subscriber, log.first - 1);
    log.subscriptions.set(subscriber, subscription);
    return ok({
      subscription,
      writes: [["topics.putCursor", defaultTenant, topic, subscriber, subscription.cursor, this.#clock.nowMs()]],
    });
  }

  /**
   * The next messages of a subscription, leased to the caller, as many as one answer holds: first those whose lease has
   * lapsed. Commit `writes` first.
   */
  take(
    subscription: Subscription,
    count: number,
  ): Result<{ readonly messages: TopicMessage[]; readonly writes: Write[] }, Refusal> {
    const { topic } = subscription;
    const nowMs = this.#clock.monotonicMs();
    const leased = subscription.leased(nowMs);
    if (leased >= limits.topic.leasedMessagesMax)
      return err(
        refusal("busy", `${leased} messages of \`${topic}\` are taken and not settled`, "settle them with `bus.ack`"),
      );
    const messages: TopicMessage[] = [];
    const writes: Write[] = [];
    const fits = answerRoom();
    for (const row of this.#next(subscription, nowMs, () => count - messages.length)) {
      const attempts = subscription.attempts(row.position);
      const dead = this.#deadBecause(row, attempts);
      if (dead !== undefined) {
        writes.push(...subscription.settle(row, this.#clock.nowMs(), dead));
        continue;
      }
      const message = toMessage(row, attempts + 1);
      // The first always goes; what follows stays where it is for the next time.
      if (!fits(message) && messages.length > 0) break;
      writes.push(subscription.take(row.position, nowMs));
      messages.push(message);
    }
    return ok({ messages, writes });
  }

  /** Ends messages that this subscription holds; all of them or none. `rejected` makes dead letters of them. */
  settle(
    topic: string,
    subscriber: string,
    ids: readonly string[],
    rejected?: string,
  ): Result<readonly Write[], Refusal> {
    const subscription = this.#logs.get(topic)?.subscriptions.get(subscriber);
    const rows = [...new Set(ids)].map((id) => this.#store.query.topics.byId(defaultTenant, id));
    const held = rows.filter((row) => row?.topic === topic && subscription?.isOpen(row.position));
    if (!subscription || held.length < rows.length)
      return err(
        refusal(
          "not_found",
          `not all of these are open messages of \`${topic}\``,
          "settle what `bus.pull` has handed out, once",
        ),
      );
    const atMs = this.#clock.nowMs();
    const because = rejected === undefined ? undefined : `rejected: ${rejected}`;
    return ok(held.flatMap((row) => (row ? subscription.settle(row, atMs, because) : [])));
  }

  /** Forgets an agent that has left the fleet: where it stood, what it lost, and who may ask for answers in its name. */
  forget(agent: string): Write[] {
    for (const { subscriptions } of this.#logs.values()) subscriptions.delete(agent);
    return [
      ["topics.removeSubscriptions", defaultTenant, agent],
      ["topics.removeDeliveries", defaultTenant, agent],
      ["topics.removeDeadLetters", defaultTenant, agent],
      ["topics.removeDedupe", defaultTenant, `agent:${agent}`],
      ["topics.closeRequests", defaultTenant, `agent:${agent}`],
    ];
  }

  /** Messages from a position on, that nobody has to settle; what has expired is left out, and what one answer cannot hold. */
  replay(topic: string, from: number, count: number): TopicMessage[] {
    const all = this.#store.query.topics
      .after(defaultTenant, topic, from - 1, count)
      .filter((row) => !this.#expired(row))
      .map((row) => toMessage(row, 0));
    const fits = answerRoom();
    const beyond = all.findIndex((message) => !fits(message));
    return beyond < 0 ? all : all.slice(0, Math.max(1, beyond));
  }

  /** What a subscription has lost above a position, oldest first. */
  deadLetters(topic: string, subscriber: string, after: number): DeadLetterRow[] {
    return this.#store.query.topics.deadLetters(defaultTenant, topic, subscriber, after, limits.topic.pullMessagesMax);
  }

  /** The newest position given out; 0 when there is none. */
  last(topic: string): number {
    return this.#logs.get(topic)?.last ?? 0;
  }

  subscription(topic: string, subscriber: string): Subscription | undefined {
    return this.#logs.get(topic)?.subscriptions.get(subscriber);
  }

  /** In the order of time, so that the index of the log grows at its end: names at random touch a page each. */
  #nextId(nowMs: number): string {
    return `evt_${nowMs.toString(36).padStart(9, "0")}${this.#ids.next("evt").slice("evt_".length)}`;
  }

  /** What may be handed out, in this order, as long as there is `room`. */
  *#next(subscription: Subscription, nowMs: number, room: () => number): Generator<TopicMessageRow> {
    const { topics } = this.#store.query;
    const { topic } = subscription;
    for (const position of subscription.lapsed(nowMs)) {
      if (room() <= 0) return;
      const row = topics.after(defaultTenant, topic, position - 1, 1)[0];
      if (row?.position === position) yield row;
    }
    if (room() <= 0) return;
    for (const row of topics.after(defaultTenant, topic, subscription.taken, room()))
      if (!subscription.isBeyondWindow(row.position)) yield row;
  }

  #deadBecause(row: TopicMessageRow, attempts: number): string | undefined {
    if (this.#expired(row)) return "expired";
    return attempts < limits.topic.attemptsMax ? undefined : `handed out ${attempts} times and never settled`;
  }

  #expired(row: TopicMessageRow): boolean {
    return row.expiresAtMs !== null && row.expiresAtMs <= this.#clock.nowMs();
  }

  #duplicate(topic: string, sender: string, key: string) {
    const found =
      this.#deduping.get(dedupeName(topic, sender, key)) ??
      this.#store.query.topics.dedupe(defaultTenant, topic, sender, key);
    return found && found.untilMs > this.#clock.nowMs() ? { id: found.id, position: found.position } : undefined;
  }

  #remember(topic: string, sender: string, key: string, at: { id: string; position: number }, nowMs: number): Write[] {
    const untilMs = nowMs + limits.topic.dedupeMs;
    this.#deduping.set(dedupeName(topic, sender, key), { ...at, untilMs });
    const write: Write = ["topics.putDedupe", defaultTenant, topic, sender, key, at.id, at.position, untilMs];
    return this.#publications++ % FORGET_EVERY === 0 ? [write, ["topics.forgetDedupe", nowMs]] : [write];
  }

  /** In steps, so that most publications cost nothing; the newest message stays, or positions would begin anew. */
  #trim(topic: string, log: Log, nowMs: number): Write[] {
    const { messagesMax, messagesTrimmedMin } = limits.topic;
    if (log.last - log.first + 1 < messagesMax + messagesTrimmedMin) return [];
    const position = log.last - messagesMax;
    log.first = position + 1;
    const subscriptions = [...log.subscriptions.values()];
    return [
      ...subscriptions.flatMap((subscription) => subscription.overrun(position, nowMs)),
      ...subscriptions.map(({ subscriber }): Write => {
        return ["topics.forgetDeadLetters", defaultTenant, topic, subscriber, Math.max(0, position - messagesMax)];
      }),
      ["topics.trimReplies", defaultTenant, topic, position],
      ["topics.trim", defaultTenant, topic, position],
    ];
  }

  /** Why nobody, or not this one, may begin a topic; undefined for one that is there. */
  #full(topic: string, by: string): Refusal | undefined {
    const { topicsMax, topicsPerSenderMax } = limits.topic;
    const begun = this.#begun.get(by) ?? 0;
    if (this.#logs.has(topic) || (this.#logs.size < topicsMax && begun < topicsPerSenderMax)) return undefined;
    const held = this.#logs.size < topicsMax ? `${begun} topics of \`${by}\`` : `${this.#logs.size} topics`;
    return refusal("too_large", `the bus holds ${held}`, "use a topic that exists");
  }

  #begin(topic: string, by: string): Log {
    const log: Log = { first: 1, last: 0, pending: 0, subscriptions: new Map() };
    this.#logs.set(topic, log);
    this.#count(by);
    return log;
  }

  #count(by: string): void {
    this.#begun.set(by, (this.#begun.get(by) ?? 0) + 1);
  }
}

const FORGET_EVERY = 256;

/** Tells of one message after the other whether the answer still holds it. As JSON a character can take six bytes. */
function answerRoom(): (message: TopicMessage) => boolean {
  let left: number = limits.tool.resultBytesMax;
  return (message) => (left -= Buffer.byteLength(JSON.stringify(message))) >= 0;
}
const dedupeName = (topic: string, sender: string, key: string): string => JSON.stringify([topic, sender, key]);

const toMessage = (row: TopicMessageRow, attempt: number): TopicMessage => ({
  id: row.id,
  position: row.position,
  sender: row.sender,
  body: row.body,
  label: JSON.parse(row.label) as Label,
  atMs: row.atMs,
  attempt,
  replyUntilMs: row.replyUntilMs,
});
