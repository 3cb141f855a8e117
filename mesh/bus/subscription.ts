import { assert } from "../../lib/assert.ts";
import { limits } from "../../protocol/limits.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Write } from "../store/store.ts";
import type { TopicDeliveryRow, TopicMessageRow } from "../store/tables/topics.ts";

interface Open {
  attempts: number;
  settled: boolean;
  /** Monotonic; nobody else gets it before. */
  leasedUntilMs: number;
}

/**
 * How far one subscriber of a topic has come: all up to the cursor is settled, and above it stands what was taken.
 * Every change is made in memory in one tick; the rows that it returns are committed in the same order.
 */
export class Subscription {
  readonly topic: string;
  readonly subscriber: string;
  #cursor: number;
  /** The highest position that was ever taken. */
  #taken: number;
  readonly #open = new Map<number, Open>();

  constructor(topic: string, subscriber: string, cursor: number, deliveries: readonly TopicDeliveryRow[] = []) {
    this.topic = topic;
    this.subscriber = subscriber;
    this.#cursor = cursor;
    this.#taken = cursor;
    for (const { position, attempts, settled } of deliveries) {
      if (position <= cursor) continue;
      this.#open.set(position, { attempts, settled: settled === 1, leasedUntilMs: 0 });
      this.#taken = Math.max(this.#taken, position);
    }
  }

  get cursor(): number {
    return this.#cursor;
  }
  get taken(): number {
    return this.#taken;
  }

  /** Positions that were taken, are not settled, and whose lease has ended: oldest first. */
  lapsed(nowMs: number): number[] {
    return [...this.#open]
      .filter(([, open]) => !open.settled && open.leasedUntilMs <= nowMs)
      .map(([position]) => position)
      .sort((a, b) => a - b);
  }

  leased(nowMs: number): number {
    return [...this.#open.values()].filter((open) => !open.settled && open.leasedUntilMs > nowMs).length;
  }

  /** Whether `position` lies so far beyond the oldest open message that it has to wait for that one. */
  isBeyondWindow(position: number): boolean {
    return position > this.#cursor + limits.topic.windowMessagesMax;
  }

  attempts(position: number): number {
    return this.#open.get(position)?.attempts ?? 0;
  }

  /** Whether this subscriber holds, or has held, the message. */
  hasTaken(position: number): boolean {
    return position <= this.#cursor || this.#open.has(position);
  }

  isOpen(position: number): boolean {
    return this.#open.get(position)?.settled === false;
  }

  take(position: number, nowMs: number): Write {
    const attempts = this.attempts(position) + 1;
    this.#open.set(position, { attempts, settled: false, leasedUntilMs: nowMs + limits.topic.leaseMs });
    this.#taken = Math.max(this.#taken, position);
    return ["topics.putDelivery", defaultTenant, this.topic, this.subscriber, position, attempts, 0];
  }

  /** Ends one message, with the reason when it ends without having been worked off. */
  settle(message: Pick<TopicMessageRow, "position" | "id">, atMs: number, deadBecause?: string): Write[] {
    const { position, id } = message;
    assert(position > this.#cursor, "what is at or below the cursor is settled already");
    this.#taken = Math.max(this.#taken, position);
    const attempts = this.attempts(position);
    this.#open.set(position, { attempts, settled: true, leasedUntilMs: 0 });
    const key = [defaultTenant, this.topic, this.subscriber] as const;
    const dead: Write[] =
      deadBecause === undefined ? [] : [["topics.insertDeadLetter", ...key, position, id, deadBecause, atMs]];
    let cursor = this.#cursor;
    while (this.#open.get(cursor + 1)?.settled) this.#open.delete(++cursor);
    if (cursor === this.#cursor) return [...dead, ["topics.putDelivery", ...key, position, attempts, 1]];
    return [...dead, ...this.#moveTo(cursor, atMs)];
  }

  /** The log was dropped up to `position`: what was not settled there is lost, and says so. */
  overrun(position: number, atMs: number): Write[] {
    if (position <= this.#cursor) return [];
    const reason = `overrun: positions ${this.#cursor + 1} to ${position} were dropped before they were settled`;
    for (const open of this.#open.keys()) if (open <= position) this.#open.delete(open);
    this.#taken = Math.max(this.#taken, position);
    let cursor = position;
    while (this.#open.get(cursor + 1)?.settled) this.#open.delete(++cursor);
    return [
      ["topics.insertDeadLetter", defaultTenant, this.topic, this.subscriber, position, "", reason, atMs],
      ...this.#moveTo(cursor, atMs),
    ];
  }

  #moveTo(cursor: number, atMs: number): Write[] {
    this.#cursor = cursor;
    return [
      ["topics.putCursor", defaultTenant, this.topic, this.subscriber, cursor, atMs],
      ["topics.forgetDeliveries", defaultTenant, this.topic, this.subscriber, cursor],
    ];
  }
}
