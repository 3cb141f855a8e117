/** One timer watches all sandboxes: has PID 1 ended, did the kernel have to step in. */
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { startTimeOf } from "./proc.ts";

/** Counters change less often than processes end. */
const COUNTERS_EVERY = 5;

export interface Watched {
  readonly pid: number;
  readonly startTime: string;
  /** Called at every look while it lives: ends it when what it depends on has ended. Must not throw. */
  lookAtCompanion(): void;
  /** Called now and then while it lives. Must not throw. */
  lookAtCounters(): void;
  /** Called once. Must not throw. */
  ended(): void;
}

export class Watch {
  readonly #clock: Clock;
  readonly #watched = new Set<Watched>();
  #running = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(watched: Watched): void {
    this.#watched.add(watched);
    if (!this.#running) void this.#run();
  }

  /** Runs while there is something to watch, so that an idle mesh has no timer. */
  async #run(): Promise<void> {
    this.#running = true;
    for (let tick = 1; this.#watched.size > 0; tick++) {
      await this.#clock.sleep(limits.sandbox.watchIntervalMs);
      for (const watched of this.#watched) {
        if (startTimeOf(watched.pid) !== watched.startTime) {
          this.#watched.delete(watched);
          watched.ended();
          continue;
        }
        watched.lookAtCompanion();
        if (tick % COUNTERS_EVERY === 0) watched.lookAtCounters();
      }
    }
    this.#running = false;
  }
}
