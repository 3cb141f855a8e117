import type { Clock } from "../../lib/clock.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import type { Topics } from "./topics.ts";

export interface TopicReply {
  readonly responder: string;
  readonly body: string;
  readonly label: Label;
  readonly atMs: number;
}

/** Answers to messages that were published as requests: one a responder, in time, to the one who asked only. */
export class Requests {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #topics: Topics;
  /** Answers on their way to the disk, by request. */
  readonly #pending = new Map<string, Set<string>>();

  constructor(store: Store, clock: Clock, topics: Topics) {
    this.#store = store;
    this.#clock = clock;
    this.#topics = topics;
  }

  /** Answers `request`, which `subscriber` must have taken from `topic`. Commit `writes`, then call `done`. */
  reply(
    reply: { readonly topic: string; readonly request: string; readonly body: string; readonly label: Label },
    subscriber: string,
  ): Result<{ readonly writes: readonly Write[]; done(): void }, Refusal> {
    const { topic, request } = reply;
    const row = this.#store.query.topics.byId(defaultTenant, request);
    const taken = row?.topic === topic && this.#topics.subscription(topic, subscriber)?.hasTaken(row.position);
    if (!row || !taken || row.replyUntilMs === null)
      return err(
        refusal("not_found", `\`${request}\` is no request of \`${topic}\``, "answer what `bus.pull` has handed out"),
      );
    const nowMs = this.#clock.nowMs();
    if (row.replyUntilMs <= nowMs)
      return err(refusal("conflict", `nobody waits for an answer to \`${request}\` any more`, "answer in time"));
    const pending = this.#pending.get(request) ?? new Set();
    const answered = new Set([...this.#rows(request).map(({ responder }) => responder), ...pending]);
    if (answered.has(subscriber))
      return err(refusal("conflict", `\`${request}\` has its answer from you`, "answer once"));
    if (answered.size >= limits.topic.repliesMax)
      return err(refusal("too_large", `\`${request}\` has ${answered.size} answers`, "let this one be"));
    this.#pending.set(request, pending.add(subscriber));
    const { body, label } = reply;
    return ok({
      writes: [["topics.insertReply", defaultTenant, request, subscriber, body, JSON.stringify(label), nowMs]],
      done: () => {
        pending.delete(subscriber);
        if (pending.size === 0) this.#pending.delete(request);
        this.#topics.waiting.wake(request);
        if (row.sender.startsWith("agent:")) this.#topics.tell(row.sender.slice("agent:".length));
      },
    });
  }

  /** Answers after the first `after` to a request of `sender`, waiting for one up to `waitMs`. */
  async replies(
    asked: { readonly request: string; readonly sender: string; readonly after: number; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<Result<readonly TopicReply[], Refusal>> {
    const { request, sender, after, waitMs } = asked;
    const row = this.#store.query.topics.byId(defaultTenant, request);
    if (!row || row.sender !== sender || row.replyUntilMs === null)
      return err(refusal("not_found", `\`${request}\` is no request of yours`, "use the id that `bus.publish` gave"));
    const look = (): readonly TopicReply[] | undefined => {
      const rows = this.#rows(request).slice(after);
      return rows.length > 0 ? rows : undefined;
    };
    const leftMs = Math.min(waitMs, Math.max(0, row.replyUntilMs - this.#clock.nowMs()));
    return ok((await this.#topics.waiting.until(request, leftMs, signal, look)) ?? []);
  }

  #rows(request: string): TopicReply[] {
    return this.#store.query.topics
      .replies(defaultTenant, request)
      .map((row) => ({ ...row, label: JSON.parse(row.label) as Label }));
  }
}
