import type { Clock } from "../../lib/clock.ts";
import type { MeshEvent } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";

const { eventsKeptMax } = limits.desk;
const SPARSE_INTERVAL_MS = 1_000;

/**
 * The newest events of the mesh, for people and displays: bounded, in memory. Evidence is the audit's.
 * What is forgotten first is the oldest of what there is most of, so that a flood of one kind pushes out itself only.
 */
export class Monitor {
  readonly #clock: Clock;
  #events: MeshEvent[] = [];
  /** Events kept of each kind of each agent. */
  readonly #kept = new Map<string, number>();
  /** Of kinds that are told sparsely: when last, and how often since. */
  readonly #sparse = new Map<string, { atMs: number; times: number }>();
  readonly #waiting = new Set<() => void>();
  #next = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  emit(type: string, agent: string | null, detail: MeshEvent["detail"] = {}): void {
    const event = { seq: this.#next++, atMs: this.#clock.nowMs(), type, agent, detail };
    this.#events.push(event);
    this.#kept.set(kindOf(event), (this.#kept.get(kindOf(event)) ?? 0) + 1);
    if (this.#events.length > eventsKeptMax) this.#forget(eventsKeptMax / 10);
    for (const wake of this.#waiting) wake();
  }

  /** For what a stranger or an agent can cause without end: one event a second; `times` counts those it stands for. */
  emitSparsely(type: string, agent: string | null, detail: MeshEvent["detail"] = {}): void {
    const kind = kindOf({ type, agent });
    const last = this.#sparse.get(kind) ?? { atMs: -Infinity, times: 0 };
    this.#sparse.set(kind, last);
    last.times++;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - last.atMs < SPARSE_INTERVAL_MS) return;
    this.emit(type, agent, { ...detail, times: last.times });
    [last.atMs, last.times] = [nowMs, 0];
  }

  /** Events after `seq`, at once when there are any, else when one comes, or none after `waitMs`. */
  async after(seq: number, waitMs: number, limit: number): Promise<MeshEvent[]> {
    if (this.#next - 1 <= seq && waitMs > 0) await this.#nextEvent(waitMs);
    const from = this.#events.findIndex((event) => event.seq > seq);
    return from < 0 ? [] : this.#events.slice(from, from + limit);
  }

  /** The oldest of the kinds that have more than a level. */
  #forget(count: number): void {
    const level = levelOf([...this.#kept.values()], count);
    let left = count;
    this.#events = this.#events.filter((event) => {
      const kind = kindOf(event);
      const kept = this.#kept.get(kind) ?? 0;
      if (left === 0 || kept <= level) return true;
      left--;
      if (kept === 1) this.#kept.delete(kind);
      else this.#kept.set(kind, kept - 1);
      return false;
    });
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

const kindOf = ({ type, agent }: Pick<MeshEvent, "type" | "agent">): string => `${type} ${agent ?? ""}`;

/** The highest level that lies so many below the sum of all that is above it. */
function levelOf(counts: readonly number[], count: number): number {
  let low = 0;
  for (let high = Math.max(...counts); high - low > 1;) {
    const middle = (low + high) >> 1;
    if (counts.reduce((sum, kept) => sum + Math.max(0, kept - middle), 0) >= count) low = middle;
    else high = middle;
  }
  return low;
}
