import { globMatches } from "../../lib/glob.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Clock } from "../../lib/clock.ts";
import type { BoardPage } from "../../protocol/desk.ts";
import type { Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import type { BoardEntryRow } from "../store/tables/board.ts";
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
}

/** A version that is on its way to the disk: compare-and-set must see it, readers must not. */
interface Pending {
  readonly version: number;
  readonly live: boolean;
  readonly expiresAtMs: number | null;
}

/** Versioned keys shared by the fleet. Who may see which key is decided by the caller, row by row. */
export class Blackboard {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly watches: Watches;
  readonly #pending = new Map<string, Pending>();
  readonly #appendOnly: readonly string[];
  readonly #cipher: ValueCipher;
  #keys: number;

  constructor(store: Store, clock: Clock, { appendOnly = [], cipher = plainValues }: BoardOptions = {}) {
    this.#store = store;
    this.#clock = clock;
    this.#appendOnly = appendOnly;
    this.#cipher = cipher;
    this.watches = new Watches(store, clock);
    this.#keys = store.query.board.countKeys(defaultTenant);
  }

  /** Decides the new version in this tick; `writes` must be committed before it is told, then `done` called. */
  prepare(
    write: BoardWrite,
  ): Result<{ readonly version: number; readonly writes: readonly Write[]; done(): void }, Refusal> {
    const { key } = write;
    const row = this.#pending.get(key) ?? this.#committed(key);
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
    if (!row && this.#keys >= limits.board.keysPerFleetMax) {
      return err(refusal("too_large", `the board holds ${this.#keys} keys`, "write to keys that exist"));
    }
    if (!row) this.#keys++;
    const nowMs = this.#clock.nowMs();
    const version = (row?.version ?? 0) + 1;
    const expiresAtMs = write.ttlSeconds === undefined ? null : nowMs + write.ttlSeconds * 1000;
    const pending: Pending = { version, live: write.value !== null, expiresAtMs };
    this.#pending.set(key, pending);
    const deleted = write.value === null ? 1 : 0;
    return ok({
      version,
      writes: [
        [
          "board.insertVersion",
          defaultTenant,
          key,
          version,
          write.value === null ? "" : this.#cipher.seal(write.value, { key, version }),
          JSON.stringify(write.label),
          write.writer,
          write.session,
          nowMs,
          expiresAtMs,
          deleted,
        ],
        ["board.setCurrent", defaultTenant, key, version],
        ["watches.insertChange", defaultTenant, key, version],
        ...(fixed === undefined ? trimmed(key, version) : []),
      ],
      done: () => {
        if (this.#pending.get(key) === pending) this.#pending.delete(key);
        this.watches.wake();
      },
    });
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
    const { board } = this.#store.query;
    const current = board.current(defaultTenant, key);
    if (!current || !this.#lives({ live: current.deleted === 0, expiresAtMs: current.expiresAtMs })) return undefined;
    const row =
      version === undefined || version === current.version ? current : board.version(defaultTenant, key, version);
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
    const rows = this.#store.query.board.history(
      defaultTenant,
      key,
      before ?? current.version + 1,
      limits.board.historyRowsMax,
    );
    return rows
      .filter((row) => this.#lives({ live: true, expiresAtMs: row.expiresAtMs }))
      .map((row) => ({
        version: row.version,
        writer: row.writer,
        session: row.writerSession,
        atMs: row.atMs,
        deleted: row.deleted === 1,
        label: JSON.parse(row.label) as Label,
      }));
  }

  /** Live entries that match `glob` and that `visible` allows, in order of key. */
  list(glob: string, visible: (key: string) => boolean): BoardPage["rows"] {
    // The text before the first star bounds the range that is scanned; `a/**` matches `a`, too.
    const prefix = (/^[^*]*/.exec(glob)?.[0] ?? "").replace(/\/$/, "");
    const rows: BoardPage["rows"][number][] = [];
    let after = "";
    for (;;) {
      const page = this.#store.query.board.listValues(defaultTenant, prefix, after, PAGE_ROWS);
      for (const row of page) {
        after = row.key;
        if (!globMatches(glob, row.key) || !visible(row.key)) continue;
        if (!this.#lives({ live: row.deleted === 0, expiresAtMs: row.expiresAtMs })) continue;
        rows.push({
          key: row.key,
          version: row.version,
          writer: row.writer,
          label: JSON.parse(row.label) as Label,
          value: this.#value(row),
        });
        if (rows.length >= limits.board.listRowsMax) return rows;
      }
      if (page.length < PAGE_ROWS) return rows;
    }
  }

  #value(row: BoardEntryRow): string {
    return this.#cipher.open(row.value, { key: row.key, version: row.version });
  }

  #committed(key: string): Pending | undefined {
    const row = this.#store.query.board.current(defaultTenant, key);
    return row && { version: row.version, live: row.deleted === 0, expiresAtMs: row.expiresAtMs };
  }

  #lives(row: { readonly live: boolean; readonly expiresAtMs: number | null }): boolean {
    return row.live && (row.expiresAtMs === null || this.#clock.nowMs() < row.expiresAtMs);
  }
}

const PAGE_ROWS = 200;

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

function trimmed(key: string, version: number): Write[] {
  const oldest = version - limits.board.versionsPerKeyMax + 1;
  return oldest > 1 ? [["board.deleteVersionsBelow", defaultTenant, key, oldest]] : [];
}
