import { limits } from "../../../protocol/limits.ts";

/** Runs that want the same key take turns, in order of their start. */
interface Gate {
  readonly limit: number;
  readonly order: string[];
}

/** Which runs and works may go on now: bounds over all runs, and concurrency keys. In memory; rebuilt from the journals. */
export class Admission {
  readonly #gates = new Map<string, Gate>();
  readonly #keys = new Map<string, string>();
  readonly #works = new Set<string>();
  readonly #worksMax: number;

  constructor(worksMax: number = limits.workflow.worksConcurrentMax) {
    this.#worksMax = worksMax;
  }

  /** Called once for each run, in order of start. */
  enter(run: string, key: string | null, limit: number): void {
    if (key === null) return;
    const gate = this.#gates.get(key) ?? { limit, order: [] };
    gate.order.push(run);
    this.#gates.set(key, gate);
    this.#keys.set(run, key);
  }

  /** Returns the runs that may go on because this one has ended. */
  exit(run: string): readonly string[] {
    const key = this.#keys.get(run);
    const gate = key === undefined ? undefined : this.#gates.get(key);
    this.#keys.delete(run);
    if (key === undefined || !gate) return [];
    gate.order.splice(gate.order.indexOf(run), 1);
    if (gate.order.length === 0) this.#gates.delete(key);
    return gate.order.slice(0, gate.limit);
  }

  isOpen(run: string): boolean {
    const key = this.#keys.get(run);
    const gate = key === undefined ? undefined : this.#gates.get(key);
    return !gate || gate.order.indexOf(run) < gate.limit;
  }

  /** Takes a place for a work, or says that there is none. Asking again for the same work takes no second one. */
  take(work: string): boolean {
    if (!this.#works.has(work) && this.#works.size >= this.#worksMax) return false;
    this.#works.add(work);
    return true;
  }

  /** Gives a place back; true when others may have waited for it. */
  give(work: string): boolean {
    const wasFull = this.#works.size >= this.#worksMax;
    return this.#works.delete(work) && wasFull;
  }
}
