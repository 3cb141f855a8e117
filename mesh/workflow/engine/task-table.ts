import { ended, splitTask, type TaskState } from "./state.ts";

/** How the items of a map stand. `lost`: failed, skipped or cancelled. */
export interface ItemCounts {
  readonly known: number;
  readonly running: number;
  readonly succeeded: number;
  readonly lost: number;
}

const NO_ITEMS: ItemCounts = { known: 0, running: 0, succeeded: 0, lost: 0 };
const OVERLAY_MIN = 16;

/**
 * The tasks of a run by name, in the order in which they were begun. Never changed in place: `with` gives another table,
 * and shares with this one all but the newest changes, so that a map of thousands of items is not copied at each event.
 */
export class TaskTable {
  static readonly none = new TaskTable(new Map(), new Map(), new Set(), new Map());
  readonly #base: ReadonlyMap<string, TaskState>;
  readonly #overlay: ReadonlyMap<string, TaskState>;
  readonly #counts: ReadonlyMap<string, ItemCounts>;
  /** What has not ended. */
  readonly open: ReadonlySet<string>;

  private constructor(
    base: ReadonlyMap<string, TaskState>,
    overlay: ReadonlyMap<string, TaskState>,
    open: ReadonlySet<string>,
    counts: ReadonlyMap<string, ItemCounts>,
  ) {
    this.#base = base;
    this.#overlay = overlay;
    this.open = open;
    this.#counts = counts;
  }

  get(key: string): TaskState | undefined {
    return this.#overlay.get(key) ?? this.#base.get(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  itemsOf(step: string): ItemCounts {
    return this.#counts.get(step) ?? NO_ITEMS;
  }

  *[Symbol.iterator](): IterableIterator<[string, TaskState]> {
    for (const [key, task] of this.#base) yield [key, this.#overlay.get(key) ?? task];
    for (const [key, task] of this.#overlay) if (!this.#base.has(key)) yield [key, task];
  }

  *values(): IterableIterator<TaskState> {
    for (const [, task] of this) yield task;
  }

  with(key: string, task: TaskState): TaskTable {
    const before = this.get(key);
    const overlay = new Map(this.#overlay).set(key, task);
    const counts = this.#counted(key, before, task);
    const open = this.open.has(key) === ended(task) ? this.#opened(key, task) : this.open;
    const large = overlay.size > OVERLAY_MIN && overlay.size ** 2 > this.#base.size;
    if (!large) return new TaskTable(this.#base, overlay, open, counts);
    const base = new Map(this.#base);
    for (const [name, newest] of overlay) base.set(name, newest);
    return new TaskTable(base, new Map(), open, counts);
  }

  #opened(key: string, task: TaskState): ReadonlySet<string> {
    const open = new Set(this.open);
    if (ended(task)) open.delete(key);
    else open.add(key);
    return open;
  }

  #counted(key: string, before: TaskState | undefined, after: TaskState): ReadonlyMap<string, ItemCounts> {
    const { step, index } = splitTask(key);
    if (index === null) return this.#counts;
    const { known, running, succeeded, lost } = this.itemsOf(step);
    const was = before ? weigh(before) : NO_ITEMS;
    const is = weigh(after);
    return new Map(this.#counts).set(step, {
      known: known + is.known - was.known,
      running: running + is.running - was.running,
      succeeded: succeeded + is.succeeded - was.succeeded,
      lost: lost + is.lost - was.lost,
    });
  }
}

function weigh({ phase }: TaskState): ItemCounts {
  const lost = phase === "failed" || phase === "skipped" || phase === "cancelled";
  return {
    known: 1,
    running: phase === "running" ? 1 : 0,
    succeeded: phase === "succeeded" ? 1 : 0,
    lost: lost ? 1 : 0,
  };
}
