import type { Clock } from "../../lib/clock.ts";
import type { MeshEvent } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";

const { eventsKeptMax } = limits.desk;
const SPARSE_INTERVAL_MS = 1_000;

/** The events of one type of one agent, and how many of them are kept. */
interface Kind {
  readonly type: string;
  readonly agent: string | null;
  kept: number;
}

interface Kept {
  readonly event: MeshEvent;
  readonly kind: Kind;
}

/**
 * The newest events of the mesh, for people and displays: bounded, in memory. Evidence is the audit's.
 * What is forgotten first is the oldest of what there is most of, so that a flood of one kind pushes out itself only.
 */
export class Monitor {
  readonly #clock: Clock;
  readonly #events: Kept[] = [];
  /** By type, then by agent. */
  readonly #kinds = new Map<string, Map<string | null, Kind>>();
  /** Of kinds that are told sparsely: when last, and how often since. */
  readonly #sparse = new Map<string, { atMs: number; times: number }>();
  readonly #waiting = new Set<() => void>();
  #next = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  emit(type: string, agent: string | null, detail: MeshEvent["detail"] = {}): void {
    const event = { seq: this.#next++, atMs: this.#clock.nowMs(), type, agent, detail };
    const kind = this.#kindOf(type, agent);
    kind.kept++;
    this.#events.push({ event, kind });
    if (this.#events.length > eventsKeptMax) this.#forget(eventsKeptMax / 10);
    if (this.#waiting.size > 0) for (const wake of this.#waiting) wake();
  }

  /** For what a stranger or an agent can cause without end: one event a second; `times` counts those it stands for. */
  emitSparsely(type: string, agent: string | null, detail: MeshEvent["detail"] = {}): void {
    const kind = `${type} ${agent ?? ""}`;
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
    const from = this.#events.findIndex(({ event }) => event.seq > seq);
    return from < 0 ? [] : this.#events.slice(from, from + limit).map(({ event }) => event);
  }

  /** The oldest of the kinds that have more than a level. */
  #forget(count: number): void {
    const counts = [...this.#kinds.values()].flatMap((agents) => [...agents.values()].map(({ kept }) => kept));
    const level = levelOf(counts, count);
    let left = count;
    let kept = 0;
    for (let at = 0; at < this.#events.length; at++) {
      const each = this.#events[at] as Kept;
      const { kind } = each;
      if (left === 0 || kind.kept <= level) {
        this.#events[kept++] = each;
        continue;
      }
      left--;
      kind.kept--;
      if (kind.kept === 0) this.#drop(kind);
    }
    this.#events.length = kept;
  }

  #kindOf(type: string, agent: string | null): Kind {
    let agents = this.#kinds.get(type);
    if (!agents) this.#kinds.set(type, (agents = new Map()));
    let kind = agents.get(agent);
    if (!kind) agents.set(agent, (kind = { type, agent, kept: 0 }));
    return kind;
  }

  #drop({ type, agent }: Kind): void {
    const agents = this.#kinds.get(type);
    agents?.delete(agent);
    if (agents?.size === 0) this.#kinds.delete(type);
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
