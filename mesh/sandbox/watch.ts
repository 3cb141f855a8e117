/** One timer watches all sandboxes: has PID 1 ended, did the kernel have to step in. */
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { startTimeOf } from "./proc.ts";

/** Counters change less often than processes end. */
const COUNTERS_EVERY = 5;
/** So many are looked at before everything else has its turn: a thousand at a time would hold up every door. */
const LOOKS_A_TURN = 64;

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
      let look = tick;
      for (const watched of this.#watched) {
        // From one tick to the next it is the turn of other sandboxes' counters, never of all of them.
        if (++look % LOOKS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
        if (startTimeOf(watched.pid) !== watched.startTime) {
          this.#watched.delete(watched);
          watched.ended();
          continue;
        }
        watched.lookAtCompanion();
        if (look % COUNTERS_EVERY === 0) watched.lookAtCounters();
      }
    }
    this.#running = false;
  }
}
