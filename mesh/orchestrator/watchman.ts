import type { Clock } from "../../lib/clock.ts";
import type { Audit } from "../audit/audit.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { Change, Orchestrator } from "./orchestrator.ts";

export interface WatchmanParts {
  readonly orchestrator: Orchestrator;
  readonly audit: Audit;
  readonly monitor: Pick<Monitor, "emit">;
  readonly clock: Clock;
}

/** Ends tasks at their deadline and tells of those that stand still: `task.expired` and `task.stalled`. */
export class Watchman {
  readonly #parts: WatchmanParts;
  readonly #stop = new AbortController();
  #nap: AbortController | undefined;

  constructor(parts: WatchmanParts) {
    this.#parts = parts;
  }

  /** Something has changed: there may be an earlier time to wake for. */
  wake(): void {
    this.#nap?.abort();
  }

  stop(): void {
    this.#stop.abort();
    this.wake();
  }

  async run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.look();
      const { orchestrator, clock } = this.#parts;
      const nap = (this.#nap = new AbortController());
      const waitMs = Math.min(Math.max(0, orchestrator.nextAtMs() - clock.nowMs()), NAP_MS_MAX);
      if (!this.#stop.signal.aborted) await clock.sleep(waitMs, nap.signal).catch(() => {});
    }
  }

  /** One look: what is overdue is ended or told of, on disk before anybody hears of it. */
  async look(): Promise<void> {
    const { expired, stalled } = this.#parts.orchestrator.overdue();
    await Promise.all([
      ...expired.map((change) => this.#tell("task.expired", change)),
      ...stalled.map((change) => this.#tell("task.stalled", change)),
    ]);
  }

  async #tell(kind: "task.expired" | "task.stalled", { task, writes, done }: Change): Promise<void> {
    const { id, assignee, creator, chain, depth } = task;
    await this.#parts.audit.record({ kind, subject: "mesh", detail: { task: id, assignee, creator } }, writes);
    done();
    this.#parts.monitor.emit(kind, assignee, { task: id, creator, chain: chain.join(" → "), depth });
  }
}

/** A wall clock may be set: nobody sleeps through that for longer. */
const NAP_MS_MAX = 60_000;
