import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Reply } from "../../protocol/desk.ts";
import type { Delivery, Sender } from "../../protocol/door.ts";
import type { Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { defaultTenant } from "../store/statements.ts";
import type { MessageRow } from "../store/tables/messages.ts";
import type { Store, Write } from "../store/store.ts";

export interface Post {
  readonly to: string;
  readonly from: Sender;
  readonly body: string;
  readonly label: Label;
  readonly conversation: string | undefined;
  readonly replyTo: string | null;
}

/** A message that was handed out again and again and never settled; `writes` end it. */
export interface DeadMessage {
  readonly agent: string;
  readonly id: string;
  readonly attempts: number;
  readonly writes: readonly Write[];
}

/**
 * One FIFO lane per agent: at least once, one at a time. A delivery that nobody settles comes again after its lease, but
 * not for ever: one that its reader cannot stomach must not keep back all that waits behind it.
 */
export class Inboxes {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #ids: Id;
  /** Messages queued per recipient, those on their way to the disk included: the bound must see them. */
  readonly #depth = new Map<string, number>();
  readonly #leases = new Map<string, { readonly id: string; readonly untilMs: number }>();
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Deliveries whose end is on its way to the disk: a second end must not pass. */
  readonly #settling = new Set<string>();

  /** How often the first message of a lane was handed out since this mesh has run. */
  readonly #attempts = new Map<string, { readonly id: string; readonly count: number }>();
  readonly #bury: (dead: DeadMessage) => Promise<void>;

  /** Told of each message twice: when it is taken, so that whoever sleeps wakes while it goes to the disk, and when it is there. */
  #onPosted: (agent: string) => void = () => undefined;

  /** `bury` commits the rows of a message that is dead, with what is to be known of it. */
  constructor(
    store: Store,
    clock: Clock,
    ids: Id,
    bury: (dead: DeadMessage) => Promise<void> = ({ writes }) => store.commit(writes),
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#ids = ids;
    this.#bury = bury;
  }

  /** `listener` may be asked for only once. */
  observe(listener: (agent: string) => void): void {
    this.#onPosted = listener;
  }

  depth(agent: string): number {
    let depth = this.#depth.get(agent);
    if (depth === undefined) {
      depth = this.#store.query.messages.queuedCount(defaultTenant, agent);
      this.#depth.set(agent, depth);
    }
    return depth;
  }

  /** To an agent. Commit `writes`, then call `done`. */
  post(
    post: Post,
  ): Result<
    { readonly id: string; readonly conversation: string; readonly writes: readonly Write[]; done(): void },
    Refusal
  > {
    const depth = this.depth(post.to);
    const { inboxFromAgentsMax, inboxMessagesMax } = limits.message;
    if (depth >= (post.from.startsWith("agent:") ? inboxFromAgentsMax : inboxMessagesMax)) {
      return err(
        refusal("busy", `the inbox of \`${post.to}\` holds ${depth} messages`, "wait until it has worked some off"),
      );
    }
    this.#depth.set(post.to, depth + 1);
    this.#onPosted(post.to);
    const id = this.#ids.next("msg");
    const conversation = post.conversation ?? this.#ids.next("cnv");
    return ok({
      id,
      conversation,
      writes: [
        [
          "messages.insert",
          id,
          defaultTenant,
          post.to,
          post.from,
          conversation,
          post.body,
          JSON.stringify(post.label),
          this.#clock.nowMs(),
          post.replyTo,
        ],
      ],
      done: () => {
        this.#wake(post.to);
        this.#onPosted(post.to);
      },
    });
  }

  /** The next delivery of an agent; waits for one up to `waitMs`. */
  async next(agent: string, waitMs: number, signal: AbortSignal): Promise<Delivery | undefined> {
    const deadlineMs = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      await this.#buryHead(agent);
      const delivery = this.#head(agent);
      const leftMs = deadlineMs - this.#clock.monotonicMs();
      if (delivery || leftMs <= 0 || signal.aborted) return delivery;
      await this.#wait(agent, leftMs, signal);
    }
  }

  /** The delivery `id`, if it is queued for `agent`; nobody settles what is another's. */
  pending(agent: string, id: string): Delivery | undefined {
    const row = this.#settling.has(id) ? undefined : this.#store.query.messages.get(defaultTenant, id);
    return row && row.recipient === agent && row.state === "queued" ? toDelivery(row) : undefined;
  }

  settle(agent: string, id: string): { readonly writes: readonly Write[]; done(): void } {
    this.#settling.add(id);
    // Counted now: once the end is on disk, the count would leave it out a second time.
    this.depth(agent);
    return {
      writes: [["messages.settle", this.#clock.nowMs(), defaultTenant, id]],
      done: () => {
        this.#settling.delete(id);
        this.#depth.set(agent, Math.max(0, this.depth(agent) - 1));
        if (this.#leases.get(agent)?.id === id) this.#leases.delete(agent);
        this.#wake(agent);
        this.#wake(id);
      },
    };
  }

  /** Resolves when the message `id` is settled, on disk, answered or not; at once when there is none. */
  async settled(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#store.query.messages.get(defaultTenant, id)?.state === "queued")
      await this.#wait(id, limits.message.leaseMs, signal);
  }

  /** The message that an agent was handed and has not settled. */
  handedOut(agent: string): string | undefined {
    return this.#leases.get(agent)?.id;
  }

  /** An answer to a person. */
  answer(
    principal: string,
    from: Sender,
    delivery: Delivery,
    body: string,
    label: Label,
  ): { readonly id: string; readonly writes: readonly Write[]; done(): void } {
    const id = this.#ids.next("rpl");
    return {
      id,
      writes: [
        [
          "replies.insert",
          id,
          defaultTenant,
          principal,
          from,
          delivery.conversation,
          body,
          JSON.stringify(label),
          this.#clock.nowMs(),
          delivery.id,
        ],
      ],
      done: () => this.#wake(delivery.conversation),
    };
  }

  /** Answers of a conversation after the `after`-th, waiting up to `waitMs` for one. */
  async replies(conversation: string, after: number, waitMs: number, signal: AbortSignal): Promise<Reply[]> {
    const deadlineMs = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      const rows = this.#store.query.replies.after(defaultTenant, conversation, after, 50);
      const leftMs = deadlineMs - this.#clock.monotonicMs();
      if (rows.length > 0 || leftMs <= 0 || signal.aborted) {
        return rows.map((row) => ({
          seq: row.lane,
          from: row.sender,
          body: row.body,
          label: JSON.parse(row.label) as Label,
          sentAtMs: row.sentAtMs,
        }));
      }
      await this.#wait(conversation, leftMs, signal);
    }
  }

  /** A restarted agent gets its open delivery at once instead of after the lease; until it has settled it, it is at it. */
  forgetLease(agent: string): void {
    const lease = this.#leases.get(agent);
    if (lease) this.#leases.set(agent, { ...lease, untilMs: -Infinity });
  }

  /** Ends the first message of a lane when it has had its attempts, and none of them is still under way. */
  async #buryHead(agent: string): Promise<void> {
    const { id, count } = this.#attempts.get(agent) ?? { id: "", count: 0 };
    const leased = (this.#leases.get(agent)?.untilMs ?? 0) > this.#clock.monotonicMs();
    if (count < limits.message.attemptsMax || leased || !this.pending(agent, id)) return;
    const { writes, done } = this.settle(agent, id);
    await this.#bury({ agent, id, attempts: count, writes });
    done();
  }

  #head(agent: string): Delivery | undefined {
    const lease = this.#leases.get(agent);
    if (lease && lease.untilMs > this.#clock.monotonicMs()) return undefined;
    const row = this.#store.query.messages.queued(defaultTenant, agent, 0, 1)[0];
    // What is about to end is not handed out any more; its end wakes who waits.
    if (!row || this.#settling.has(row.id)) return undefined;
    const known = this.#attempts.get(agent);
    this.#attempts.set(agent, { id: row.id, count: known?.id === row.id ? known.count + 1 : 1 });
    this.#leases.set(agent, { id: row.id, untilMs: this.#clock.monotonicMs() + limits.message.leaseMs });
    return toDelivery(row);
  }

  #wait(lane: string, waitMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(lane) ?? new Set();
    this.#waiting.set(lane, waiting.add(resolve));
    const stop = new AbortController();
    this.#clock
      .sleep(Math.min(waitMs, limits.message.leaseMs), AbortSignal.any([signal, stop.signal]))
      .then(resolve, () => resolve());
    return promise.finally(() => {
      stop.abort();
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(lane);
    });
  }

  #wake(lane: string): void {
    for (const wake of this.#waiting.get(lane) ?? []) wake();
  }
}

const toDelivery = (row: MessageRow): Delivery => ({
  id: row.id,
  from: row.sender as Sender,
  conversation: row.conversation,
  inReplyTo: row.replyTo,
  body: row.body,
  label: JSON.parse(row.label) as Label,
  sentAtMs: row.sentAtMs,
});
