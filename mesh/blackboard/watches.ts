import { setImmediate } from "node:timers/promises";
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
import { plainCursors, type CursorCipher } from "./cursor-cipher.ts";
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
  /** All up to it was looked at. */
  readonly next: number;
  readonly label: Label;
}

export interface Watch {
  readonly watcher: string;
  readonly match: string;
}

/** What was told of a watch's changes is acknowledged up to `seq`; up to `passed` there is nothing more that it may see. */
export interface Place {
  readonly seq: number;
  readonly passed: number;
}

/** `next` is a cursor: given as `after`, it acknowledges what was told, and stays the same until there is more. */
export interface News {
  readonly changes: readonly Omit<Change, "seq">[];
  readonly next: string;
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
  readonly #cursors: CursorCipher;
  /** Places on their way to the disk. */
  readonly #pending = new Map<string, Place>();
  /** How far the last look of each watch came; on disk when it asks again. */
  readonly #looked = new Map<string, Place>();
  readonly #watchers = new Watchers();
  readonly #looks: Looks;
  #onNews: (watcher: string, key: string) => void = () => undefined;

  constructor(store: Store, clock: Clock, looks: Looks, cursors: CursorCipher = plainCursors) {
    this.#store = store;
    this.#cursors = cursors;
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
    const found = new Set(all.flatMap(({ watcher, passed }) => (passed < oldest ? [watcher] : [])));
    const watchesOf = Map.groupBy(all, ({ watcher }) => watcher);
    for (const change of watches.changes(defaultTenant, oldest, limits.board.watchScanRowsMax)) {
      for (const watcher of this.#watchers.of(change.key)) {
        const missed = ({ match, passed }: WatchRow): boolean => passed < change.seq && globMatches(match, change.key);
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
   * Where a watch goes on: after `after`, which acknowledges all before it, or where it stood; a new one begins now.
   * Commit `writes`, then call `done`.
   */
  resume(
    watch: Watch,
    after: string | undefined,
  ): Result<{ readonly place: Place; readonly writes: readonly Write[]; done(): void }, Refusal> {
    const { watcher, match } = watch;
    const head = this.head();
    const name = nameOf(watch);
    const stood = this.#pending.get(name) ?? this.#store.query.watches.place(defaultTenant, watcher, match);
    const told = after === undefined ? stood?.seq : this.#cursors.open(after, name);
    if (after !== undefined && (told === undefined || told > head))
      return err(refusal("malformed", "`after` is no cursor of this watch", "use `next` of its last answer"));
    const count = (): number => this.#store.query.watches.count(defaultTenant, watcher) + this.#pending.size;
    if (stood === undefined && count() >= limits.board.watchesPerReaderMax)
      return err(refusal("too_large", `\`${watcher}\` has ${count()} watches`, "use a pattern that you watch already"));
    const seq = told ?? head;
    const known = [this.#looked.get(name), stood].map((place) => (place?.seq === seq ? place.passed : seq));
    const place: Place = { seq, passed: Math.max(...known) };
    if (place.seq === stood?.seq && place.passed === stood.passed) return ok({ place, writes: [], done: () => {} });
    this.#pending.set(name, place);
    return ok({
      place,
      writes: [["watches.put", defaultTenant, watcher, match, place.seq, place.passed]],
      done: () => {
        if (this.#pending.get(name) === place) this.#pending.delete(name);
        if (stood === undefined) this.#watchers.add(watcher, match);
      },
    });
  }

  /** Forgets where a watcher stood that is no more. */
  forget(watcher: string): Write[] {
    this.#watchers.remove(watcher);
    for (const row of this.#store.query.watches.all(defaultTenant))
      if (row.watcher === watcher) this.#looked.delete(nameOf(row));
    return [["watches.remove", defaultTenant, watcher]];
  }

  /** What a watcher has not been told yet and may see, row by row; waits for it up to `waitMs`. */
  async news(
    { watcher, match, waitMs }: Watch & { readonly waitMs: number },
    { seq, passed }: Place,
    visible: (key: string) => boolean,
    signal: AbortSignal,
  ): Promise<News> {
    const look = { reader: watcher, match, from: passed, waitMs };
    const { changes, next, label } = await this.changes(look, visible, signal);
    const told = changes.at(-1)?.seq ?? seq;
    const name = nameOf({ watcher, match });
    this.#looked.set(name, { seq: told, passed: next });
    const rows = changes.map(({ key, version, writer, deleted }) => ({ key, version, writer, deleted }));
    return { changes: rows, next: this.#cursors.seal(told, name), label };
  }

  /** Changes after `from` that match and that the reader may see, row by row; waits for one up to `waitMs`. */
  async changes(
    watch: { readonly reader: string; readonly match: string; readonly from: number; readonly waitMs: number },
    visible: (key: string) => boolean,
    signal: AbortSignal,
  ): Promise<Changes> {
    let next = watch.from;
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
      // However much of what others wrote lies in between: an answer before the end of it would tell how much it is.
      if (page.length === PAGE_ROWS) return undefined;
      return changes.length > 0 ? told() : null;
    };
    const found = await this.#looks.of(watch.reader, part, signal);
    if (found !== null) return found ?? told();
    // From here on it is little at a time; what is more comes in turns of its own.
    const look = (): Changes | undefined => {
      const news = part();
      if (news === undefined) void setImmediate().then(() => this.#waiting.wake(watch.match));
      return news ?? undefined;
    };
    return (await this.#waiting.until(watch.match, watch.waitMs, signal, look)) ?? told();
  }
}

const PAGE_ROWS = 50;
const nameOf = ({ watcher, match }: Watch): string => JSON.stringify([watcher, match]);
