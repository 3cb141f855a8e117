import { limits } from "../../protocol/limits.ts";
import { storeFailure } from "./failure.ts";
import { lastWins, statements } from "./statements.ts";
import type { StoreFailure, Write } from "./store.ts";

/** Runs the flushes in order, and tells the outcome of each through the two callbacks. */
export interface Executor {
  run(writes: readonly Write[], upTo: number): void;
  /** Resolves when all that was handed over has run and the file is closed. */
  close(): Promise<void>;
}

interface Waiting {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (failure: StoreFailure) => void;
}

/**
 * Collects the commits of one tick of the event loop into one flush, and while the writer is at work those of several.
 * Fail-stop: after the first failure, also a write that does not fit its statement, nothing is written any more.
 */
export class GroupCommit {
  readonly failed: Promise<StoreFailure>;
  readonly #executor: Executor;
  readonly #folder: string;
  readonly #waiting: Waiting[] = [];
  readonly #tellFailure: (failure: StoreFailure) => void;
  #answered = 0;
  #batch: Write[] = [];
  #seq = 0;
  #flushed = 0;
  #acknowledged = 0;
  #seal: () => readonly Write[] = () => [];
  #failure: StoreFailure | undefined;

  constructor(folder: string, createExecutor: (group: GroupCommit) => Executor) {
    const failed = Promise.withResolvers<StoreFailure>();
    this.failed = failed.promise;
    this.#tellFailure = failed.resolve;
    this.#folder = folder;
    this.#executor = createExecutor(this);
  }

  commit(writes: readonly Write[]): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    const fault = misfitAmong(writes) ?? this.#overflow();
    if (fault !== undefined) {
      this.fail(storeFailure("io", this.#folder, fault));
      return Promise.reject(this.#failure);
    }
    if (this.#seq === this.#flushed) setImmediate(() => this.flush());
    this.#seq++;
    for (const write of writes) this.#batch.push(write);
    return new Promise((resolve, reject) => this.#waiting.push({ seq: this.#seq, resolve, reject }));
  }

  /** `rows` is asked at every flush for what goes into the same transaction, last. */
  sealWith(rows: () => readonly Write[]): void {
    this.#seal = rows;
  }

  flush(): void {
    // One at a time: what comes meanwhile shares a transaction, and its rows that are replaced in it are written once.
    if (this.#acknowledged === this.#flushed) this.#flushNow();
  }

  #flushNow(): void {
    if (this.#failure || this.#seq === this.#flushed) return;
    const batch = this.#batch;
    for (const write of this.#seal()) batch.push(write);
    const writes = coalesce(batch);
    this.#batch = [];
    this.#flushed = this.#seq;
    this.#executor.run(writes, this.#seq);
  }

  /** Everything up to `seq` is on disk. */
  acknowledge(seq: number): void {
    for (; (this.#waiting[this.#answered]?.seq ?? Infinity) <= seq; this.#answered++) {
      this.#waiting[this.#answered]?.resolve();
    }
    if (this.#answered === this.#waiting.length || this.#answered >= 1024) {
      this.#waiting.splice(0, this.#answered);
      this.#answered = 0;
    }
    this.#acknowledged = seq;
    // After all that this turn of the loop still brings.
    if (this.#seq !== this.#flushed) setImmediate(() => this.flush());
  }

  fail(failure: StoreFailure): void {
    if (this.#failure) return;
    this.#refuseAll(failure);
    this.#tellFailure(failure);
  }

  #refuseAll(failure: StoreFailure): void {
    this.#failure = failure;
    for (const { reject } of this.#waiting.splice(this.#answered)) reject(failure);
  }

  async close(): Promise<void> {
    this.#flushNow();
    await this.#executor.close();
    // To be closed is no failure: what comes later is refused, and nobody is alarmed.
    if (!this.#failure) this.#refuseAll(storeFailure("io", this.#folder, "the store is closed"));
  }

  #overflow(): string | undefined {
    const waiting = this.#waiting.length - this.#answered;
    return waiting < limits.store.commitsWaitingMax ? undefined : `${waiting} commits wait for the disk`;
  }
}

const parameterCounts = new Map<string, number>();
for (const [name, sql] of Object.entries(statements)) {
  const numbered = [...sql.matchAll(/\?(\d+)/g)].map(([, n]) => Number(n));
  parameterCounts.set(name, numbered.length > 0 ? Math.max(...numbered) : sql.split("?").length - 1);
}

/** SQLite would bind a missing parameter as NULL and round a number beyond 2^53: neither may pass silently. */
function misfit(write: Write): string | undefined {
  const [name] = write;
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
  for (const write of writes) {
    const fault = misfit(write);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Drops the writes that a later one of the same flush replaces whole (statements.ts says which). */
function coalesce(batch: readonly Write[]): Write[] {
  const seen = new Set<string>();
  const kept: Write[] = [];
  for (let at = batch.length - 1; at >= 0; at--) {
    const write = batch[at] as Write;
    const keyLength = lastWins[write[0]];
    if (keyLength !== undefined) {
      let key: string = write[0];
      for (let part = 1; part <= keyLength; part++) key += `\u0000${String(write[part])}`;
      if (seen.has(key)) continue;
      seen.add(key);
    }
    kept.push(write);
  }
  return kept.reverse();
}
