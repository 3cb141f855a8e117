import { availableParallelism } from "node:os";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import type { AgentRunner } from "./agent-runner.ts";

export interface HibernationParts {
  readonly clock: Clock;
  /** Sandboxes that may run at the same time. */
  readonly awakeMax: number;
  /** Absent: those of this machine. */
  readonly cores?: number;
  runners(): Iterable<AgentRunner>;
  runner(agent: string): AgentRunner | undefined;
  /** Messages that wait for an agent or are in its hands. */
  depth(agent: string): number;
}

/**
 * Stops agents that have nothing to do and wakes them when they have: /data and their queues stay. Few are woken at the
 * same moment, first come first served, and in a storm fewer, with rests between them, so that it takes its time instead of
 * everybody's processor: the longer the mesh itself has to wait for its turn, the longer they are. When no more may run, whoever
 * is idle makes room.
 */
export class Hibernation {
  readonly #parts: HibernationParts;
  readonly #queue: string[] = [];
  readonly #queued = new Set<string>();
  /** A runner says that it is starting a moment after it was asked to. */
  readonly #waking = new Set<string>();
  /** When something last came for one that was awake (monotonic): it may not have looked since. */
  readonly #news = new Map<string, number>();
  /** How many wake at once in a storm: one core is for those who are awake. */
  readonly #wakingInStorm: number;
  /** How many times as long as its start the rest after it is. */
  #calm = 1;
  #ending: AbortSignal | undefined;
  #closed = false;

  constructor(parts: HibernationParts) {
    this.#parts = parts;
    const cores = parts.cores ?? availableParallelism();
    this.#wakingInStorm = Math.max(1, Math.min(limits.hibernation.agentsWakingMax, cores - 1));
  }

  /** Something has come for an agent. Who is awake, stopped by an operator, halted or failed is left as it is. */
  wake(agent: string): void {
    const runner = this.#parts.runner(agent);
    if (this.#closed || this.#queued.has(agent) || runner?.setting.hibernateAfterMs === undefined) return;
    if (runner.phase !== "asleep") return void this.#news.set(agent, this.#parts.clock.monotonicMs());
    this.#queued.add(agent);
    this.#queue.push(agent);
    this.#pump();
  }

  /** Looks at all agents again and again, until `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    this.#ending = signal;
    while (!signal.aborted) {
      await this.look();
      this.#pump();
      if (this.#queue.length > 0) await this.#listen(limits.hibernation.pressedLookMs, signal);
      else await clock.sleep(limits.hibernation.lookMs, signal).catch(() => undefined);
    }
    this.#closed = true;
  }

  /** Passes some time, and learns from it how late others are who wait for their turn at a door. */
  async #listen(forMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const { turnMs, lateMsMax, restTimesMax } = limits.hibernation;
    let latestMs = 0;
    for (let passedMs = 0; passedMs < forMs && !signal.aborted; passedMs += turnMs) {
      const fromMs = clock.monotonicMs();
      await clock.sleep(turnMs, signal).catch(() => undefined);
      latestMs = Math.max(latestMs, clock.monotonicMs() - fromMs - turnMs);
    }
    this.#calm = latestMs > lateMsMax ? Math.min(restTimesMax, this.#calm * 2) : Math.max(1, this.#calm * 0.9);
  }

  /** Puts to sleep whoever has been idle for long enough, or, when others wait for room, for a moment: the longest first. */
  async look(): Promise<void> {
    const idle = [...this.#parts.runners()].filter((runner) => this.#isIdle(runner));
    const due = idle.filter((runner) => runner.idleForMs() >= (runner.setting.hibernateAfterMs ?? Infinity));
    const short = this.#queue.length - this.#room() - due.length;
    const pressed = idle
      .filter((runner) => !due.includes(runner) && runner.idleForMs() >= limits.hibernation.pressedIdleMs)
      .sort((a, b) => b.idleForMs() - a.idleForMs())
      .slice(0, Math.max(0, short));
    await Promise.all([...due, ...pressed].map((runner) => this.#sleep(runner)));
  }

  #isIdle(runner: AgentRunner): boolean {
    const { name, hibernateAfterMs } = runner.setting;
    return (
      hibernateAfterMs !== undefined && runner.isWanted && runner.phase === "running" && this.#parts.depth(name) === 0
    );
  }

  async #sleep(runner: AgentRunner): Promise<void> {
    const { name } = runner.setting;
    const lastUsedMs = this.#parts.clock.monotonicMs() - runner.idleForMs();
    // What cannot be removed is told by the runner, and is no reason to leave the others awake, or asleep.
    await runner.stop("asleep", "it had nothing to do").catch(() => undefined);
    const newsMs = this.#news.get(name) ?? -Infinity;
    this.#news.delete(name);
    // What came while it was stopping found it awake, and what came since it last used its door it has not seen.
    if (newsMs >= lastUsedMs || this.#parts.depth(name) > 0) this.wake(name);
  }

  #room(): number {
    let awake = 0;
    for (const { phase } of this.#parts.runners()) if (isUp(phase)) awake++;
    for (const agent of this.#waking) if (!isUp(this.#parts.runner(agent)?.phase)) awake++;
    return Math.max(0, this.#parts.awakeMax - awake);
  }

  get #stormy(): boolean {
    return this.#queue.length >= limits.hibernation.stormAgentsMin;
  }

  #pump(): void {
    while (!this.#closed && this.#queue.length > 0 && this.#waking.size < this.#wakingMax() && this.#room() > 0) {
      const agent = this.#queue.shift() ?? "";
      this.#queued.delete(agent);
      const runner = this.#parts.runner(agent);
      if (runner?.phase !== "asleep") continue;
      this.#waking.add(agent);
      void this.#start(runner).finally(() => {
        this.#waking.delete(agent);
        this.#pump();
      });
    }
  }

  #wakingMax(): number {
    return this.#stormy ? this.#wakingInStorm : limits.hibernation.agentsWakingMax;
  }

  /** What was started comes up by itself for about as long as its sandbox took: in a storm that is waited for. */
  async #start(runner: AgentRunner): Promise<void> {
    const { clock } = this.#parts;
    const fromMs = clock.monotonicMs();
    await runner.start();
    if (!this.#stormy) return;
    const restMs = Math.min(limits.hibernation.restMsMax, this.#calm * (clock.monotonicMs() - fromMs));
    await clock.sleep(restMs, this.#ending).catch(() => undefined);
  }
}

const isUp = (phase: AgentRunner["phase"] | undefined): boolean => phase === "running" || phase === "starting";
