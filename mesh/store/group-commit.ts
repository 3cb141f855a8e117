import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { storeFailure } from "./failure.ts";
import { statements } from "./statements.ts";
import type { LateRow, LateRows, Row, StoreFailure, Write } from "./store.ts";

/** Runs the flushes in order, and tells the outcome of each through the two callbacks. */
export interface Executor {
  run(rows: readonly Row[], upTo: number): void;
  /** Resolves when all that was handed over has run and the file is closed. */
  close(): Promise<void>;
}

const { crowdCommitsMin, gatherMsMax, gatherStillTurnsMax } = limits.store;
const STILL: Pick<Clock, "monotonicMs"> = { monotonicMs: () => 0 };
/** So many commits of a flush share one promise. */
const WAITING_COMMITS = crowdCommitsMin / 4;

/** Commits of one flush that wait for it with one promise; `seq` is that of the last one in the flush. */
interface Waiting {
  seq: number;
  commits: number;
  readonly promise: Promise<void>;
  resolve(): void;
  reject(failure: StoreFailure): void;
}

/**
 * Collects the commits of a few turns of the event loop into one flush, and while the writer is at work those of many.
 * Fail-stop: after the first failure, also a write that does not fit its statement, nothing is written any more.
 */
export class GroupCommit {
  readonly failed: Promise<StoreFailure>;
  readonly #executor: Executor;
  readonly #folder: string;
  /** Those that somebody waits for, and that are on their way; then those of the flush that is being filled. */
  #running: Waiting[] = [];
  #filling: Waiting[] = [];
  readonly #tellFailure: (failure: StoreFailure) => void;
  readonly #laterMs: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #batch: Row[] = [];
  readonly #late = new Set<LateRow | LateRows>();
  #seq = 0;
  /** So many were there when the last flush ended: its own, and those that waited for the next. Most of them come again. */
  #crowd = 0;
  #gathering = false;
  #timer: NodeJS.Timeout | undefined;
  #flushed = 0;
  #acknowledged = 0;
  #seal: () => readonly Row[] = () => [];
  #failure: StoreFailure | undefined;

  /**
   * `laterMs`: how long at most what nobody waits for stays in memory; 0: as long as anything else. `clock`: of a
   * simulation it stands still, so that what shares a transaction does not depend on how fast the machine is.
   */
  constructor(
    folder: string,
    createExecutor: (group: GroupCommit) => Executor,
    { laterMs = 0, clock = STILL }: { readonly laterMs?: number; readonly clock?: Pick<Clock, "monotonicMs"> } = {},
  ) {
    this.#laterMs = laterMs;
    this.#clock = clock;
    const failed = Promise.withResolvers<StoreFailure>();
    this.failed = failed.promise;
    this.#tellFailure = failed.resolve;
    this.#folder = folder;
    this.#executor = createExecutor(this);
  }

  commit(writes: readonly Write[]): Promise<void> {
    if (!this.#failure) this.#take(writes);
    if (this.#failure) return Promise.reject(this.#failure);
    let last = this.#filling.at(-1);
    if (last === undefined || last.commits >= WAITING_COMMITS)
      this.#filling.push((last = { seq: 0, commits: 0, ...Promise.withResolvers<void>() }));
    last.commits++;
    this.#gather(true);
    return last.promise;
  }

  /** Goes with the next flush; nobody waits for it. */
  commitLater(writes: readonly Write[]): void {
    if (this.#failure) return;
    this.#take(writes);
    if (this.#laterMs === 0) this.#gather();
    else this.#timer ??= setTimeout(() => this.#onTime(), this.#laterMs).unref();
  }

  #take(writes: readonly Write[]): void {
    const fault = misfitAmong(writes) ?? this.#overflow();
    if (fault !== undefined) return this.fail(storeFailure("io", this.#folder, fault));
    this.#seq++;
    // By index: an iterator makes an object for each step.
    for (let at = 0; at < writes.length; at++) {
      const write = writes[at] as Write;
      if (isRow(write)) this.#batch.push(write);
      else this.#late.add(write);
    }
  }

  #onTime(): void {
    this.#timer = undefined;
    this.flush();
  }

  /**
   * Flushes when all of the crowd are there: who is many shares the price of a flush. As long as the loop brings some of them
   * they are waited for, which costs the first ones less than the flush before theirs that the last ones would be too late for.
   * Who was alone the last time, and finds the writer idle, waits for nobody.
   */
  #gather(idle = false): void {
    if (this.#gathering || this.#acknowledged !== this.#flushed) return;
    this.#gathering = true;
    if (idle && this.#crowd <= 1) return queueMicrotask(() => this.#gathered());
    const enough = Math.min(this.#crowd, crowdCommitsMin / 2);
    const untilMs = this.#clock.monotonicMs() + gatherMsMax;
    let seen = -1;
    let still = 0;
    const turn = (): void => {
      const there = commitsOf(this.#filling);
      still = there === seen ? still + 1 : 0;
      seen = there;
      const goesOn = there < enough && still < gatherStillTurnsMax && this.#clock.monotonicMs() < untilMs;
      if (goesOn) setImmediate(turn);
      else this.#gathered();
    };
    setImmediate(turn);
  }

  #gathered(): void {
    this.#gathering = false;
    this.flush();
  }

  /** `rows` is asked at every flush for what goes into the same transaction, last. */
  sealWith(rows: () => readonly Row[]): void {
    this.#seal = rows;
  }

  flush(): void {
    // One at a time: what comes meanwhile shares a transaction, and its rows that are replaced in it are written once.
    if (this.#acknowledged === this.#flushed) this.#flushNow();
  }

  #flushNow(): void {
    if (this.#failure || this.#seq === this.#flushed) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const rows = this.#batch;
    const taken = rows.length;
    for (const late of this.#late) {
      if ("lateRow" in late) rows.push(late.lateRow());
      else for (const row of late.lateRows()) rows.push(row);
    }
    this.#late.clear();
    for (const row of this.#seal()) rows.push(row);
    for (let at = taken; at < rows.length; at++) {
      const fault = misfit(rows[at] as Row);
      if (fault !== undefined) return this.fail(storeFailure("io", this.#folder, fault));
    }
    this.#batch = [];
    this.#flushed = this.#seq;
    for (const waiting of this.#filling) {
      waiting.seq = this.#seq;
      this.#running.push(waiting);
    }
    this.#filling = [];
    this.#executor.run(rows, this.#seq);
  }

  /** Everything up to `seq` is on disk. */
  acknowledge(seq: number): void {
    this.#acknowledged = seq;
    const beyond = this.#running.findIndex((waiting) => waiting.seq > seq);
    const done = this.#running.splice(0, beyond < 0 ? this.#running.length : beyond);
    this.#crowd = commitsOf(done) + commitsOf(this.#filling);
    // A crowd falls into halves that take turns: one makes its rows while those of the other are written.
    if (commitsOf(this.#filling) >= crowdCommitsMin / 2) this.flush();
    else if (commitsOf(done) >= crowdCommitsMin) this.#resolveLater(done.splice(Math.ceil(done.length / 2)));
    for (const { resolve } of done) resolve();
    if (this.#filling.length > 0 || (this.#seq !== this.#flushed && !this.#timer)) this.#gather();
  }

  #resolveLater(done: readonly Waiting[]): void {
    setImmediate(() => {
      // Few that came at once gather more first.
      if (commitsOf(this.#filling) >= WAITING_COMMITS) this.flush();
      for (const { resolve } of done) resolve();
    });
  }

  fail(failure: StoreFailure): void {
    if (this.#failure) return;
    this.#refuseAll(failure);
    this.#tellFailure(failure);
  }

  #refuseAll(failure: StoreFailure): void {
    this.#failure = failure;
    const waiting = [...this.#running, ...this.#filling];
    [this.#running, this.#filling] = [[], []];
    for (const { reject } of waiting) reject(failure);
  }

  async close(): Promise<void> {
    this.#flushNow();
    await this.#executor.close();
    // To be closed is no failure: what comes later is refused, and nobody is alarmed.
    if (!this.#failure) this.#refuseAll(storeFailure("io", this.#folder, "the store is closed"));
  }

  #overflow(): string | undefined {
    const waiting = this.#seq - this.#acknowledged;
    return waiting < limits.store.commitsWaitingMax ? undefined : `${waiting} commits wait for the disk`;
  }
}

const commitsOf = (waiting: readonly Waiting[]): number => waiting.reduce((sum, { commits }) => sum + commits, 0);
const isRow = (write: Write): write is Row => Array.isArray(write);

const parameterCounts = new Map<string, number>();
for (const [name, sql] of Object.entries(statements)) {
  const numbered = [...sql.matchAll(/\?(\d+)/g)].map(([, n]) => Number(n));
  parameterCounts.set(name, numbered.length > 0 ? Math.max(...numbered) : sql.split("?").length - 1);
}

/** SQLite would bind a missing parameter as NULL and round a number beyond 2^53: neither may pass silently. */
function misfit(write: Row): string | undefined {
  const name = write[0];
  const count = parameterCounts.get(name);
  if (count !== write.length - 1) return `\`${name}\` takes ${count} parameters, got ${write.length - 1}`;
  for (let at = 1; at < write.length; at++) {
    const value = write[at];
    if (typeof value === "number" && !Number.isSafeInteger(value))
      return `parameter ${at} of \`${name}\` is not a safe integer`;
  }
  return undefined;
}

function misfitAmong(writes: readonly Write[]): string | undefined {
  for (let at = 0; at < writes.length; at++) {
    const write = writes[at] as Write;
    const fault = isRow(write) ? misfit(write) : undefined;
    if (fault !== undefined) return fault;
  }
  return undefined;
}
