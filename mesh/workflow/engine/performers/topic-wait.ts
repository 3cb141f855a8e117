import type { Clock } from "../../../../lib/clock.ts";
import type { Json } from "../../../../lib/json.ts";
import { joinLabels, type Label } from "../../../../protocol/label.ts";
import { limits } from "../../../../protocol/limits.ts";
import type { Topics } from "../../../bus/topics.ts";
import { defaultTenant } from "../../../store/statements.ts";
import type { Store } from "../../../store/store.ts";
import type { TopicMessageRow } from "../../../store/tables/topics.ts";
import { failure, type Job, type Performer } from "../job.ts";

export interface TopicEntry {
  readonly id: string;
  readonly position: number;
  /** `agent:NAME` or `principal:NAME`. */
  readonly sender: string;
  readonly body: string;
  readonly label: Label;
}

export interface TopicWaitParts {
  /** Whether agent `as` may read `topic`; the text says why not. */
  mayRead(as: string, topic: string): string | undefined;
  /** The newest position of the topic that was given out; 0 when there is none. */
  last(topic: string): number;
  /** Resolves with the first message above `after` that has not expired; undefined only when it was aborted. */
  next(topic: string, after: number, signal: AbortSignal): Promise<TopicEntry | undefined>;
}

/**
 * The position is part of the event that begins the step. So what came while the mesh was down, or between two looks, is
 * found, and what was there before the step is not.
 */
export function topicWait({ mayRead, last, next }: TopicWaitParts): Performer {
  return {
    staysInStore: () => true,
    prepare(job) {
      const asked = askedOf(job);
      if (!asked) return failure("input", "the topic is not a text, or `after` is not a position");
      return { ok: true, effect: { after: asked.after ?? last(asked.topic) }, writes: [], done: () => {} };
    },
    async perform(job, signal) {
      const { work } = job.definition;
      const asked = askedOf(job);
      if (work.kind !== "wait" || work.until.kind !== "topic" || !asked) return failure("plan", "no topic is named");
      if (!job.effect || !("after" in job.effect)) return failure("lost", "no position was recorded for this attempt");
      const { topic } = asked;
      const { as, from } = work.until;
      for (let { after } = job.effect; ;) {
        const denied = mayRead(as, topic);
        if (denied !== undefined) return failure("denied", denied);
        const found = await next(topic, after, signal);
        if (!found) return failure("work", `nothing came on topic \`${topic}\``);
        after = found.position;
        if (from !== null && found.sender !== `agent:${from}`) continue;
        const { id, position, sender, body, label } = found;
        return { ok: true, output: { topic, id, position, from: sender, body }, label: joinLabels(job.label, label) };
      }
    },
  };
}

/** The first message above `after` that has not expired. What has is passed over for good, so each row is read once. */
export async function nextOnTopic(
  { store, topics, clock }: { readonly store: Pick<Store, "query">; readonly topics: Topics; readonly clock: Clock },
  topic: string,
  after: number,
  signal: AbortSignal,
): Promise<TopicEntry | undefined> {
  let seen = after;
  const look = (): TopicMessageRow | undefined => {
    for (;;) {
      const rows = store.query.topics.after(defaultTenant, topic, seen, limits.topic.pullMessagesMax);
      const last = rows.at(-1);
      const nowMs = clock.nowMs();
      const live = rows.find(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
      if (live || !last) return live;
      seen = last.position;
    }
  };
  for (;;) {
    const found = await topics.waiting.until(topic, limits.desk.waitMsMax, signal, look);
    if (found) return { ...found, label: JSON.parse(found.label) as Label };
    if (signal.aborted) return undefined;
  }
}

function askedOf({ input }: Job): { readonly topic: string; readonly after: number | null } | undefined {
  const { topic, after = null } = input as { readonly topic?: Json; readonly after?: Json };
  if (typeof topic !== "string") return undefined;
  if (after === null) return { topic, after };
  return typeof after === "number" && Number.isSafeInteger(after) && after >= 0 ? { topic, after } : undefined;
}
