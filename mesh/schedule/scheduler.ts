import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import type { Audit } from "../audit/audit.ts";
import type { Monitor } from "../monitor/monitor.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import type { TickRow } from "../store/tables/schedule.ts";
import type { Trigger } from "./trigger.ts";
import { dueMs, dueTicks, nextTick, type Job } from "./job.ts";
import { probe, type ProbeParts, type Seen } from "./probes.ts";

export interface SchedulerParts extends ProbeParts {
  readonly jobs: readonly Job[];
  readonly store: Store;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly monitor: Pick<Monitor, "emit">;
  readonly trigger: Trigger;
}

interface Progress extends Seen {
  readonly tickMs: number;
  /** What the last firing caused. */
  readonly caused: string | null;
  /** When the tick after that is due; Infinity = never again. */
  readonly nextMs: number;
}

type Outcome = TickRow["outcome"];

/**
 * Fires each tick of each job once: its row and what it causes are one transaction, and a tick is never earlier than
 * the last one on disk, whatever the clock does.
 */
export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #progress = new Map<string, Progress>();
  readonly #stop = new AbortController();

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
  }

  /** Runs until `stop`; rejects when the store fails. */
  async run(): Promise<void> {
    await this.begin();
    while (!this.#stop.signal.aborted) {
      await this.fire();
      await this.#parts.clock.sleep(this.#pauseMs(), this.#stop.signal).catch(() => {});
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Where each job stands; what is seen for the first time begins now. */
  async begin(): Promise<void> {
    const { store, jobs, clock } = this.#parts;
    for (const job of jobs) {
      const row = store.query.schedule.last(defaultTenant, job.name);
      const nowMs = clock.nowMs();
      const seen = { boardSeq: store.query.watches.head(), topicPosition: 0, urlDigest: null };
      this.#stand(job, row ?? { tickMs: nowMs, caused: null, ...seen });
      if (!row) await store.commit([this.#row(job, nowMs, "first_seen", null, seen)]);
    }
  }

  /**
   * Fires what is due. Jobs do not wait for one another: the look of one may take its time. Where many are due at once,
   * they begin a few in a turn of the event loop, so that whoever is at work meanwhile has his turns, too.
   */
  async fire(): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    const due = this.#parts.jobs.filter(({ name }) => (this.#progress.get(name)?.nextMs ?? Infinity) <= nowMs);
    const begun: Promise<void>[] = [];
    for (const [at, job] of due.entries()) {
      const fired = this.#fireDue(job);
      // A fault is told below, with those of the others; until then it must not count as one that nobody hears of.
      fired.catch(() => {});
      begun.push(fired);
      if ((at + 1) % limits.schedule.jobsPerTurnMax === 0) await turn();
    }
    await Promise.all(begun);
  }

  async #fireDue(job: Job): Promise<void> {
    const last = this.#progress.get(job.name);
    if (!last) return;
    const nowMs = this.#parts.clock.nowMs();
    const ticks = dueTicks(job, last.tickMs, nowMs);
    const newest = ticks.at(-1);
    for (const tick of ticks) {
      const late = nowMs - dueMs(job, tick) > limits.schedule.lateMsMax;
      const wanted = job.missed === "all" || (tick === newest && (!late || job.missed === "once"));
      if (wanted) await this.#fire(job, tick);
      else await this.#note(job, tick, "missed", this.#seen(job));
    }
  }

  async #fire(job: Job, tick: number): Promise<void> {
    const { trigger } = this.#parts;
    const last = this.#progress.get(job.name);
    if (job.overlap === "skip" && last?.caused && trigger.isOpen(last.caused))
      return this.#note(job, tick, "overlapped", this.#seen(job));
    const { worth, seen } = await probe(this.#parts, job, this.#seen(job));
    if (!worth) return this.#note(job, tick, "idle", seen);
    const prepared = trigger.prepare({
      effect: job.effect,
      given: "",
      cause: `schedule:${job.name}`,
      label: { integrity: "user", confidentiality: "internal", sources: [`principal:schedule:${job.name}`] },
    });
    if (!prepared.ok) return this.#note(job, tick, "refused", seen, { reason: prepared.error.reason.slice(0, 400) });
    const { id, writes, done } = prepared.value;
    await this.#note(job, tick, "fired", seen, { caused: id }, writes);
    done();
    const { effect } = job;
    const agent = effect.kind === "message" ? effect.to : null;
    this.#parts.monitor.emit("schedule.fired", agent, { job: job.name, [agent === null ? "run" : "message"]: id });
  }

  /** One tick, one row, one record, with all that it causes. */
  async #note(
    job: Job,
    tick: number,
    outcome: Outcome,
    seen: Seen,
    detail: { readonly caused?: string; readonly reason?: string } = {},
    writes: readonly Write[] = [],
  ): Promise<void> {
    const caused = detail.caused ?? this.#progress.get(job.name)?.caused ?? null;
    this.#stand(job, { ...seen, tickMs: tick, caused });
    const keptFromMs = tick - limits.schedule.ticksKeptMs;
    await this.#parts.audit.record(
      {
        kind: "schedule.tick",
        subject: "mesh",
        detail: { job: job.name, tick_ms: tick, outcome, ...detail },
      },
      [
        ...writes,
        this.#row(job, tick, outcome, caused, seen),
        ["schedule.trimTicks", defaultTenant, job.name, keptFromMs],
      ],
    );
  }

  #stand(job: Job, progress: Omit<Progress, "nextMs">): void {
    const next = nextTick(job, progress.tickMs);
    this.#progress.set(job.name, { ...progress, nextMs: next === undefined ? Infinity : dueMs(job, next) });
  }

  #row(job: Job, tick: number, outcome: Outcome, caused: string | null, seen: Seen): Write {
    const atMs = this.#parts.clock.nowMs();
    const { boardSeq, topicPosition, urlDigest } = seen;
    return [
      ...(["schedule.insertTick", defaultTenant, job.name, tick, atMs, outcome] as const),
      ...([caused, boardSeq, topicPosition, urlDigest] as const),
    ];
  }

  #seen(job: Job): Seen {
    const { boardSeq = 0, topicPosition = 0, urlDigest = null } = this.#progress.get(job.name) ?? {};
    return { boardSeq, topicPosition, urlDigest };
  }

  /** Until the next tick, but never so long that a jump of the clock goes unseen. */
  #pauseMs(): number {
    const nowMs = this.#parts.clock.nowMs();
    let waitMs: number = limits.schedule.pauseMsMax;
    for (const { nextMs } of this.#progress.values()) waitMs = Math.min(waitMs, nextMs - nowMs);
    return Math.max(limits.schedule.pauseMsMin, waitMs);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
