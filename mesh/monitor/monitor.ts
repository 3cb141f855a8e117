import type { Clock } from "../../lib/clock.ts";
import type { MeshEvent } from "../../protocol/desk.ts";

const EVENTS_KEPT = 5_000;

/** The newest events of the mesh, for people and displays: bounded, in memory. Evidence is the audit's. */
export class Monitor {
  readonly #clock: Clock;
  readonly #events: MeshEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #next = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  emit(type: string, agent: string | null, detail: MeshEvent["detail"] = {}): void {
    this.#events.push({ seq: this.#next++, atMs: this.#clock.nowMs(), type, agent, detail });
    if (this.#events.length > EVENTS_KEPT) this.#events.splice(0, EVENTS_KEPT / 10);
    for (const wake of this.#waiting) wake();
  }

  /** Events after `seq`, at once when there are any, else when one comes, or none after `waitMs`. */
  async after(seq: number, waitMs: number, limit: number): Promise<MeshEvent[]> {
    if (this.#next - 1 <= seq && waitMs > 0) await this.#nextEvent(waitMs);
    const from = this.#events.findIndex((event) => event.seq > seq);
    return from < 0 ? [] : this.#events.slice(from, from + limit);
  }

  #nextEvent(waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = new AbortController();
    this.#waiting.add(resolve);
    this.#clock.sleep(waitMs, stop.signal).then(resolve, () => {});
    return promise.finally(() => {
      this.#waiting.delete(resolve);
      stop.abort();
    });
  }
}
