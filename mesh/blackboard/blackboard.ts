import { globMatches } from "../../lib/glob.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Clock } from "../../lib/clock.ts";
import type { BoardPage } from "../../protocol/desk.ts";
import type { Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import type { BoardEntryRow, BoardListRow } from "../store/tables/board.ts";
import type { CursorCipher } from "./cursor-cipher.ts";
import { KeyCensus } from "./key-census.ts";
import { Looks } from "./looks.ts";
import { prefixesOf } from "./prefixes.ts";
import { plainValues, type ValueCipher } from "./value-cipher.ts";
import { Watches } from "./watches.ts";

export interface BoardWrite {
  readonly key: string;
  /** null deletes. */
  readonly value: string | null;
  readonly ifVersion: number | undefined;
  readonly ttlSeconds: number | undefined;
  readonly writer: string;
  /** The sandbox that wrote, for provenance. */
  readonly session: string;
  readonly label: Label;
}

export interface BoardEntry {
  readonly key: string;
  readonly version: number;
  readonly value: string;
  readonly writer: string;
  readonly label: Label;
}

/** One version in the history of a key, without its value. */
export interface BoardVersion {
  readonly version: number;
  readonly writer: string;
  readonly session: string;
  readonly atMs: number;
  readonly deleted: boolean;
  readonly label: Label;
}

export interface BoardOptions {
  /** Keys that match one of these are written once and never changed, by any verb. */
  readonly appendOnly?: readonly string[];
  readonly cipher?: ValueCipher;
  readonly cursors?: CursorCipher;
  /** Number of the last change whose value was written before there was a cipher. */
  readonly plainUpTo?: number;
}

/** The newest version of a key, without its value. `id`: of the key, in the store. */
interface Head {
  readonly id: number;
  readonly version: number;
  readonly live: boolean;
  readonly expiresAtMs: number | null;
  /** Whom the key counts for; null: for nobody, since it does not live. */
  readonly maker: string | null;
  /** False on its way there. */
  onDisk: boolean;
}

/** Versioned keys shared by the fleet. Who may see which key is decided by the caller, row by row. */
export class Blackboard {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly watches: Watches;
  /** Of keys that were written of late, also what is on its way to the disk: compare-and-set must see it, readers must not. */
  readonly #heads = new Map<string, Head>();
  /** Those that were written first; it goes on where it stood. */
  #oldest = this.#heads.keys();
  readonly #appendOnly: readonly string[];
  readonly #cipher: ValueCipher;
  readonly #plainUpTo: number;
  readonly #census: KeyCensus;
  readonly #looks: Looks;
  #lastId: number;
  /** The key up to which those that have expired were looked for; undefined while what was found goes to the disk. */
  #sweptTo: number | undefined = 0;

  constructor(
    store: Store,
    clock: Clock,
    { appendOnly = [], cipher = plainValues, cursors, plainUpTo = 0 }: BoardOptions = {},
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#appendOnly = appendOnly;
    this.#cipher = cipher;
    this.#plainUpTo = plainUpTo;
    this.#looks = new Looks(clock);
    this.watches = new Watches(store, clock, this.#looks, cursors);
    this.#census = new KeyCensus(store.query.board.makers());
    this.#lastId = store.query.board.lastId();
  }

  /**
   * Decides the new version in this tick; `writes` must be committed before it is told, in the order of decision, then
   * `done` called.
   */
  prepare(
    write: BoardWrite,
  ): Result<{ readonly version: number; readonly writes: readonly Write[]; done(): void }, Refusal> {
    const { key } = write;
    const row = this.#heads.get(key) ?? this.#committed(key);
    const liveVersion = row && this.#lives(row) ? row.version : 0;
    if (write.ifVersion !== undefined && write.ifVersion !== liveVersion) {
      return err(
        refusal(
          "conflict",
          `board key \`${key}\` is at version ${liveVersion}, not ${write.ifVersion}`,
          "read it again and repeat the change",
        ),
      );
    }
    const fixed = this.#appendOnly.find((glob) => globMatches(glob, key));
    const change = fixed === undefined ? undefined : changeOf(write, row !== undefined);
    if (change !== undefined) return err(appendOnly(key, fixed ?? "", change));
    if (write.value === null && liveVersion === 0)
      return err(refusal("not_found", `no board key \`${key}\``, "nothing is to be deleted"));
    const maker = write.value === null ? null : (row?.maker ?? write.writer);
    if (maker !== null && !row?.maker) {
      if (this.#census.full(maker)) this.#sweep();
      const full = this.#census.full(maker);
      if (full) return err(full);
      this.#census.add(maker);
    }
    if (row?.maker && maker === null) this.#census.remove(row.maker);
    const nowMs = this.#clock.nowMs();
    const id = row?.id ?? ++this.#lastId;
    const version = (row?.version ?? 0) + 1;
    const expiresAtMs = write.ttlSeconds === undefined ? null : nowMs + write.ttlSeconds * 1000;
    const head: Head = { id, version, live: write.value !== null, expiresAtMs, maker, onDisk: false };
    this.#remember(key, head);
    const value = write.value === null ? "" : this.#cipher.seal(write.value, { key, version });
    const { label, writer, session } = write;
    const deleted = write.value === null ? 1 : 0;
    const writes: Write[] = [];
    if (!row) writes.push(["board.insertKey", id, defaultTenant, key, maker]);
    else if (row.maker !== maker) writes.push(["board.setMaker", maker, id]);
    const text = JSON.stringify(label);
    writes.push(["board.insert", id, version, value, text, writer, session, nowMs, expiresAtMs, deleted]);
    writes.push(["board.setHead", id]);
    if (fixed === undefined) trim(writes, id, version);
    return ok({
      version,
      writes,
      done: () => {
        head.onDisk = true;
        this.watches.wake(key);
      },
    });
  }

  /** Some of the keys are looked at, others the next time; those that have expired do not count any more. */
  #sweep(): void {
    const from = this.#sweptTo;
    if (from === undefined) return;
    const page = this.#store.query.board.page(from, SWEPT_KEYS);
    const writes: Write[] = [];
    const swept: Head[] = [];
    for (const { id, key, version, maker, deleted, expiresAtMs } of page) {
      const known = this.#heads.get(key);
      const head = { id, version, live: deleted === 0, expiresAtMs, maker, onDisk: false };
      if (maker === null || this.#lives(head) || (known && (known.version !== version || known.maker === null)))
        continue;
      this.#census.remove(maker);
      const retired = { ...head, maker: null };
      this.#remember(key, retired);
      swept.push(retired);
      writes.push(["board.setMaker", null, id]);
    }
    this.#sweptTo = undefined;
    const next = page.length < SWEPT_KEYS ? 0 : (page.at(-1)?.id ?? 0);
    // What fails is told by the store itself.
    this.#store.commit(writes).then(
      () => {
        this.#sweptTo = next;
        for (const head of swept) head.onDisk = true;
      },
      () => {},
    );
  }

  /**
   * Resolves when all that was decided before is on disk. A conflict is told after that: whoever is refused for the sake
   * of a version then also reads it.
   */
  settled(): Promise<void> {
    return this.#store.commit([]);
  }

  /** A committed entry that has neither been deleted nor expired; an older version only while the key lives. */
  read(key: string, version: number | undefined): BoardEntry | undefined {
    const current = this.#store.query.board.current(defaultTenant, key);
    if (!current || !this.#lives({ live: current.deleted === 0, expiresAtMs: current.expiresAtMs })) return undefined;
    const row = version === undefined || version === current.version ? current : this.#older(current, version);
    if (!row || !this.#lives({ live: row.deleted === 0, expiresAtMs: row.expiresAtMs })) return undefined;
    return {
      key,
      version: row.version,
      value: this.#value(row),
      writer: row.writer,
      label: JSON.parse(row.label) as Label,
    };
  }

  /** Versions below `before`, newest first, while the key lives; what has expired by itself is not told. */
  history(key: string, before: number | undefined): BoardVersion[] | undefined {
    const current = this.#committed(key);
    if (!current || !this.#lives(current)) return undefined;
    const oldest = this.#isAppendOnly(key) ? 1 : oldestKept(current.version);
    const rows = this.#store.query.board.history(
      defaultTenant,
      key,
      before ?? current.version + 1,
      limits.board.historyRowsMax,
    );
    return rows
      .filter((row) => row.version >= oldest && this.#lives({ live: true, expiresAtMs: row.expiresAtMs }))
      .map((row) => ({
        version: row.version,
        writer: row.writer,
        session: row.writerSession,
        atMs: row.atMs,
        deleted: row.deleted === 1,
        label: JSON.parse(row.label) as Label,
      }));
  }

  /** Live entries that match `glob` and that `visible` allows, in order of key; no other value is read. */
  list(glob: string, visible: (key: string) => boolean): BoardPage["rows"] {
    const rows = [...this.#scan(glob, ["**"], visible)].filter((row) => row !== PAUSE);
    return rows.map((row) => {
      const { seq, key, version, writer, label } = row;
      const value = this.#value({ ...row, value: this.#store.query.board.value(seq) ?? "" });
      return { key, version, writer, label: JSON.parse(label) as Label, value };
    });
  }

  /**
   * The same without values, as an agent asks for it. `within`: patterns beyond which nothing is visible, so nothing there is
   * looked at. What matches little looks at many keys, so everybody else has turns meanwhile.
   */
  async keys(
    { reader, match, within }: { readonly reader: string; readonly match: string; readonly within: readonly string[] },
    visible: (key: string) => boolean,
    signal?: AbortSignal,
  ): Promise<{ key: string; version: number }[]> {
    const found: { key: string; version: number }[] = [];
    const scan = this.#scan(match, within, visible);
    const part = (): true | undefined => {
      const { done, value } = scan.next();
      if (!done && value !== PAUSE) found.push({ key: value.key, version: value.version });
      return done || undefined;
    };
    await this.#looks.of(reader, part, signal);
    return found;
  }

  *#scan(
    glob: string,
    within: readonly string[],
    visible: (key: string) => boolean,
  ): Generator<BoardListRow | typeof PAUSE> {
    let found = 0;
    for (const prefix of prefixesOf(glob, within)) {
      for (let after = "", page: string[] | undefined; page === undefined || page.length === PAGE_KEYS;) {
        page = this.#store.query.board.names(defaultTenant, prefix, after, PAGE_KEYS);
        for (const [at, key] of page.entries()) {
          after = key;
          if (at % PART_KEYS === 0) yield PAUSE;
          if (!globMatches(glob, key) || !visible(key)) continue;
          const row = this.#store.query.board.head(defaultTenant, key);
          if (!row || !this.#lives({ live: row.deleted === 0, expiresAtMs: row.expiresAtMs })) continue;
          yield row;
          if (++found >= limits.board.listRowsMax) return;
        }
      }
    }
  }

  #older(current: BoardEntryRow, version: number): BoardEntryRow | undefined {
    if (version < oldestKept(current.version) && !this.#isAppendOnly(current.key)) return undefined;
    return this.#store.query.board.version(defaultTenant, current.key, version);
  }

  #isAppendOnly(key: string): boolean {
    return this.#appendOnly.some((glob) => globMatches(glob, key));
  }

  #remember(key: string, head: Head): void {
    this.#heads.set(key, head);
    for (let looks = 0; looks < FORGET_LOOKS && this.#heads.size > limits.board.headsKnownMax; looks++) {
      const { value: oldest } = this.#oldest.next();
      if (oldest === undefined) this.#oldest = this.#heads.keys();
      else this.#forget(oldest);
    }
  }

  /** What is not on the disk cannot be read there: its turn comes again. */
  #forget(key: string): void {
    const head = this.#heads.get(key);
    this.#heads.delete(key);
    if (head?.onDisk === false) this.#heads.set(key, head);
  }

  #value(row: BoardEntryRow): string {
    if (row.seq <= this.#plainUpTo) return row.value;
    return this.#cipher.open(row.value, { key: row.key, version: row.version });
  }

  #committed(key: string): Head | undefined {
    const row = this.#store.query.board.head(defaultTenant, key);
    if (!row) return undefined;
    const { id, version, deleted, expiresAtMs, maker } = row;
    return { id, version, live: deleted === 0, expiresAtMs, maker, onDisk: true };
  }

  #lives(row: { readonly live: boolean; readonly expiresAtMs: number | null }): boolean {
    return row.live && (row.expiresAtMs === null || this.#clock.nowMs() < row.expiresAtMs);
  }
}

const PAGE_KEYS = 200;
/** To compare a key with a pattern can take long: between so many there may be a pause. */
const PART_KEYS = 8;
const SWEPT_KEYS = 500;
/** For each that is remembered, so that it is never much, and more than one goes where it has become too many. */
const FORGET_LOOKS = 4;
/** Some keys have been looked at. */
const PAUSE = Symbol("pause");

/** What a write would do to an append-only key beyond making it; undefined when that is all. */
function changeOf(write: BoardWrite, written: boolean): string | undefined {
  if (write.value === null) return "deleted";
  if (written) return "overwritten";
  return write.ttlSeconds === undefined ? undefined : "let expire";
}

const appendOnly = (key: string, pattern: string, change: string): Refusal =>
  refusal(
    "denied",
    `board key \`${key}\` is append-only (\`${pattern}\`) and cannot be ${change}`,
    "write a new key; only what is outside of `blackboard.append_only` changes",
  );

const oldestKept = (version: number): number => version - limits.board.versionsPerKeyMax + 1;

/** In steps, because the store has to walk the whole history to find its end. */
function trim(writes: Write[], id: number, version: number): void {
  const oldest = oldestKept(version);
  if (oldest > 1 && version % limits.board.versionsTrimmedMin === 0) writes.push(["board.dropBelow", id, oldest]);
}
