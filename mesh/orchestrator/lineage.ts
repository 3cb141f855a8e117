import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";

/** What led to a task: how deep it lies, and through whose hands it came. */
export interface Origin {
  readonly task: string;
  readonly depth: number;
  readonly chain: readonly string[];
}

/**
 * Which tasks an agent has on its hands, or had until a moment ago. What it does meanwhile counts as done in the course
 * of all of them: only the mesh says where a task comes from, and to name no parent, or to end one first, hides nothing.
 */
export class Lineage {
  readonly #clock: Clock;
  readonly #held = new Map<string, Map<string, Origin & { untilMs: number }>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  holds(agent: string, origin: Origin): void {
    this.#of(agent).set(origin.task, { ...origin, untilMs: Infinity });
  }

  /** It has gone from the agent's hands at `atMs`. */
  releases(agent: string, origin: Origin, atMs: number): void {
    const held = this.#of(agent);
    // To the end, so that what went first is found first. Here, because who only works off what others give never asks.
    held.delete(origin.task);
    held.set(origin.task, { ...origin, untilMs: atMs + limits.task.lineageMs });
    for (const [task, { untilMs }] of held) {
      if (untilMs === Infinity) continue;
      if (untilMs > this.#clock.nowMs()) break;
      held.delete(task);
    }
  }

  /** How many tasks are remembered, of all agents together. */
  get size(): number {
    return [...this.#held.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** The deepest, with everybody who led to any of them; undefined when the agent acts of its own. */
  of(agent: string): Origin | undefined {
    const held = this.#of(agent);
    const nowMs = this.#clock.nowMs();
    for (const [task, { untilMs }] of held) if (untilMs <= nowMs) held.delete(task);
    const [first, ...rest] = [...held.values()].sort((a, b) => b.depth - a.depth);
    if (!first) return undefined;
    const chain = new Set(first.chain);
    for (const other of rest) for (const name of other.chain) chain.add(name);
    return { task: first.task, depth: first.depth, chain: [...chain] };
  }

  #of(agent: string): Map<string, Origin & { untilMs: number }> {
    let held = this.#held.get(agent);
    if (!held) this.#held.set(agent, (held = new Map()));
    return held;
  }
}
