import { statfsSync } from "node:fs";
import { globMatches } from "../../lib/glob.ts";
import { limits } from "../../protocol/limits.ts";
import type { Inboxes } from "../bus/inboxes.ts";
import type { Topics } from "../bus/topics.ts";
import { defaultTenant } from "../store/statements.ts";
import type { UrlDigest } from "../egress/url-digest.ts";
import type { Store } from "../store/store.ts";
import type { Job } from "./job.ts";

/** How far the probes of a job have looked. */
export interface Seen {
  readonly boardSeq: number;
  readonly topicPosition: number;
  readonly urlDigest: string | null;
}

export interface ProbeParts {
  readonly store: Store;
  readonly inboxes: Inboxes;
  readonly topics: Topics;
  /** Bytes that are free where the state lies. */
  readonly freeBytes: () => number;
  readonly urlDigest: UrlDigest;
}

/** Whether there is something to do for a job, and how far this look went. */
export async function probe(
  parts: ProbeParts,
  job: Job,
  since: Seen,
): Promise<{ readonly worth: boolean; readonly seen: Seen }> {
  const asked = job.probe;
  switch (asked?.kind) {
    case undefined:
      return { worth: true, seen: since };
    case "inbox":
      return { worth: parts.inboxes.depth(asked.agent) > 0, seen: since };
    case "topic": {
      const topicPosition = parts.topics.last(asked.topic);
      return { worth: topicPosition > since.topicPosition, seen: { ...since, topicPosition } };
    }
    case "disk":
      return { worth: parts.freeBytes() < asked.freeBytesBelow, seen: since };
    case "url": {
      const urlDigest = await parts.urlDigest(asked.url);
      // Nothing was seen: what was before still holds.
      if (urlDigest === null) return { worth: false, seen: since };
      // The first answer is what later ones are held against.
      const worth = since.urlDigest !== null && urlDigest !== since.urlDigest;
      return { worth, seen: { ...since, urlDigest } };
    }
    case "board":
      return changed(parts.store, asked.match, since);
  }
}

/** The look ends after so many changes; then there is so much news that the tick is worth it. */
function changed(store: Store, match: string, since: Seen): { readonly worth: boolean; readonly seen: Seen } {
  const rows = store.query.watches.changes(defaultTenant, since.boardSeq, limits.board.watchScanRowsMax);
  const worth = rows.length >= limits.board.watchScanRowsMax || rows.some(({ key }) => globMatches(match, key));
  return {
    worth,
    seen: { ...since, boardSeq: worth ? store.query.watches.head() : (rows.at(-1)?.seq ?? since.boardSeq) },
  };
}

export const freeBytesAt = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};
