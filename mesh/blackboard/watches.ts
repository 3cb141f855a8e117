import type { Clock } from "../../lib/clock.ts";
import { globMatches } from "../../lib/glob.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { joinLabels, type Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { Waiting } from "../bus/waiting.ts";
import { defaultTenant } from "../store/statements.ts";
import type { WatchRow } from "../store/tables/watches.ts";
import type { Store, Write } from "../store/store.ts";
import type { Looks } from "./looks.ts";
import { Watchers } from "./watchers.ts";

/** `writer` is null when the version has left the history since. Never a value: that is read, if it may still be read. */
export interface Change {
  readonly seq: number;
  readonly key: string;
  readonly version: number;
  readonly writer: string | null;
  readonly deleted: boolean;
}

export interface Changes {
  readonly changes: readonly Change[];
  /** Give it as `after` to go on; so everything up to it is acknowledged. */
  readonly next: number;
  readonly label: Label;
}

const nothing: Label = { integrity: "system", confidentiality: "internal", sources: [] };

/**
 * Watches of the board: each change has a number, given in the transaction that made it, so a watcher that goes on
 * where it stood has missed nothing, whatever was restarted in between. How far it came is kept on disk.
 */
export class Watches {
  readonly #store: Store;
  readonly #waiting: Waiting;
  /** Cursors on their way to the disk. */
  readonly #pending = new Map<string, number>();
  readonly #watchers = new Watchers();
  readonly #looks: Looks;
  #onNews: (watcher: string, key: string) => void = () => undefined;

  constructor(store: Store, clock: Clock, looks: Looks) {
    this.#store = store;
    this.#waiting = new Waiting(clock);
    this.#looks = looks;
    for (const { watcher, match } of store.query.watches.all(defaultTenant)) this.#watchers.add(watcher, match);
  }

  /** `listener` is told of every watcher whose pattern a change of `key` matches; whether it may see it is not asked here. */
  observe(listener: (watcher: string, key: string) => void): void {
    this.#onNews = listener;
  }

  /** A change of `key` is on disk. */
  wake(key: string): void {
    // Only those whose pattern it fits look: a fleet in which all wait would look for all at each write.
    for (const match of this.#waiting.names()) if (globMatches(match, key)) this.#waiting.wake(match);
    for (const watcher of this.#watchers.of(key)) this.#onNews(watcher, key);
  }

  /** Watchers that have not acknowledged a change that they may see; who is far behind is taken to have missed one. */
  behind(visible: (watcher: string, key: string) => boolean): Set<string> {
    const { watches } = this.#store.query;
    const oldest = this.head() - limits.board.watchScanRowsMax;
    const all = watches.all(defaultTenant);
    const found = new Set(all.flatMap(({ watcher, seq }) => (seq < oldest ? [watcher] : [])));
    const watchesOf = Map.groupBy(all, ({ watcher }) => watcher);
    for (const change of watches.changes(defaultTenant, oldest, limits.board.watchScanRowsMax)) {
      for (const watcher of this.#watchers.of(change.key)) {
        const missed = ({ match, seq }: WatchRow): boolean => seq < change.seq && globMatches(match, change.key);
        if (!found.has(watcher) && watchesOf.get(watcher)?.some(missed) && visible(watcher, change.key))
          found.add(watcher);
      }
    }
    return found;
  }

  /** The newest change that is on disk. */
  head(): number {
    return this.#store.query.watches.head();
  }

  /**
   * Where a watcher goes on: after `after`, which acknowledges all before it, or where it stood; a new watch begins
   * now. Commit `writes`, then call `done`.
   */
  resume(
    watcher: string,
    match: string,
    after: number | undefined,
  ): Result<{ readonly from: number; readonly writes: readonly Write[]; done(): void }, Refusal> {
    const head = this.head();
    const name = JSON.stringify([watcher, match]);
    const stood = this.#pending.get(name) ?? this.#store.query.watches.cursor(defaultTenant, watcher, match);
    if (after !== undefined && after > head)
      return err(
        refusal("malformed", `\`after\` is ${after}, the newest change is ${head}`, "use `next` of the last answer"),
      );
    const count = (): number => this.#store.query.watches.count(defaultTenant, watcher) + this.#pending.size;
    if (stood === undefined && count() >= limits.board.watchesPerReaderMax)
      return err(refusal("too_large", `\`${watcher}\` has ${count()} watches`, "use a pattern that you watch already"));
    const from = after ?? stood ?? head;
    if (from === stood) return ok({ from, writes: [], done: () => {} });
    this.#pending.set(name, from);
    return ok({
      from,
      writes: [["watches.put", defaultTenant, watcher, match, from]],
      done: () => {
        if (this.#pending.get(name) === from) this.#pending.delete(name);
        if (stood === undefined) this.#watchers.add(watcher, match);
      },
    });
  }

  /** Forgets where a watcher stood that is no more. */
  forget(watcher: string): Write[] {
    this.#watchers.remove(watcher);
    return [["watches.remove", defaultTenant, watcher]];
  }

  /** Changes after `from` that match and that the reader may see, row by row; waits for one up to `waitMs`. */
  async changes(
    watch: { readonly reader: string; readonly match: string; readonly from: number; readonly waitMs: number },
    visible: (key: string) => boolean,
    signal: AbortSignal,
  ): Promise<Changes> {
    let next = watch.from;
    let scanned = 0;
    let label = nothing;
    const changes: Change[] = [];
    const told = (): Changes => ({ changes, next, label });
    /** Undefined: there is more. Null: that was all, and nothing is to be told. */
    const part = (): Changes | null | undefined => {
      const page = this.#store.query.watches.changes(defaultTenant, next, PAGE_ROWS);
      for (const { seq, key, version, writer, deleted, label: text } of page) {
        next = seq;
        if (!globMatches(watch.match, key) || !visible(key)) continue;
        changes.push({ seq, key, version, writer, deleted: deleted === 1 });
        if (text !== null) label = joinLabels(label, JSON.parse(text) as Label);
        if (changes.length >= limits.board.watchRowsMax) return told();
      }
      scanned += page.length;
      if (page.length < PAGE_ROWS) return changes.length > 0 ? told() : null;
      // So far and no further: whoever asks again goes on from here.
      return scanned >= limits.board.watchScanRowsMax ? told() : undefined;
    };
    const found = await this.#looks.of(watch.reader, part, signal);
    if (found !== null) return found ?? told();
    // From here on it is little at a time.
    const look = (): Changes | undefined => {
      const news = part();
      return news === undefined ? told() : (news ?? undefined);
    };
    return (await this.#waiting.until(watch.match, watch.waitMs, signal, look)) ?? told();
  }
}

const PAGE_ROWS = 50;
