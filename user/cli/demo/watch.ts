import type { MeshEvent, Status } from "../../../protocol/desk.ts";
import { limits } from "../../../protocol/limits.ts";
import { formatDuration, formatUsd } from "../../../lib/units.ts";
import type { Context } from "../command.ts";
import type { Desk } from "../desk-client.ts";
import { Failure } from "../failure.ts";
import { tint, type Line } from "../line.ts";
import { readClaims, type Claims } from "./claims.ts";

export interface Watched {
  readonly events: readonly MeshEvent[];
  readonly claims: Claims;
}

export const DIGEST = "digest.md";
export const WORKERS = ["researcher", "writer"] as const;
const EVENT_WAIT_MS = 500;
const LOOK_MS = 700;
/** What a halted intern may still print after its halt. */
const HALT_GRACE_MS = 3_000;
const EVENTS_MAX = 20_000;

/** Follows a run of the newsroom; one instance a run. */
export class Watch {
  readonly events: MeshEvent[] = [];
  readonly #desk: Desk;
  readonly #context: Pick<Context, "terminal" | "clock">;
  readonly #startMs: number;
  #next = 0;
  #claims: Claims = { claims: [], done: false };
  #status: Status | undefined;
  #microUsd = 0;
  #lookedMs = -Infinity;
  #haltedMs: number | undefined;
  #shown = 0;

  constructor(desk: Desk, context: Pick<Context, "terminal" | "clock">) {
    this.#desk = desk;
    this.#context = context;
    this.#startMs = context.clock.monotonicMs();
  }

  /** Goes on until `enough` says so; rejects after `timeoutMs` with what is still missing. */
  async until(enough: () => string | undefined, timeoutMs: number, signal: AbortSignal): Promise<Watched> {
    const deadline = this.#context.clock.monotonicMs() + timeoutMs;
    for (;;) {
      await this.#step(signal);
      const missing = enough();
      if (missing === undefined) await this.#look(this.#context.clock.monotonicMs());
      if (missing === undefined) return { events: this.events, claims: this.#claims };
      if (this.#context.clock.monotonicMs() > deadline) {
        throw new Failure(
          `the demo is not done after ${formatDuration(timeoutMs)}: ${missing}`,
          "is the machine busy? run `cordon doctor`, then try again",
        );
      }
    }
  }

  count(type: string, agent?: string): number {
    return this.events.filter((event) => event.type === type && (agent === undefined || event.agent === agent)).length;
  }

  /** What is missing until the job is done, or undefined. */
  jobMissing(): string | undefined {
    if (!this.events.some((event) => isDigest(event))) return `${DIGEST} is not written`;
    const agents = this.#status?.agents.filter((agent) => WORKERS.some((name) => name === agent.name)) ?? [];
    const busy = agents.filter((agent) => agent.inbox > 0).map((agent) => agent.name);
    if (agents.length < WORKERS.length) return "an agent is missing";
    return busy.length > 0 ? `${busy.join(" and ")} still at work` : undefined;
  }

  internMissing(): string | undefined {
    if (this.#claims.done) return undefined;
    const silentMs = this.#haltedMs === undefined ? 0 : this.#context.clock.monotonicMs() - this.#haltedMs;
    return silentMs > HALT_GRACE_MS ? undefined : "the intern is still trying";
  }

  async #step(signal: AbortSignal): Promise<void> {
    const page = await this.#desk.events(this.#next, EVENT_WAIT_MS, signal);
    this.#next = page.next;
    if (this.events.length < EVENTS_MAX) this.events.push(...page.events);
    const now = this.#context.clock.monotonicMs();
    if (now - this.#lookedMs >= LOOK_MS) {
      this.#lookedMs = now;
      await this.#look(now);
    }
    this.#context.terminal.live(this.#line(now));
  }

  async #look(now: number): Promise<void> {
    this.#claims = readClaims((await this.#desk.logs("intern", limits.desk.logLinesMax)).lines);
    this.#status = await this.#desk.status();
    this.#microUsd = (await this.#desk.costs()).totals.reduce((sum, row) => sum + row.microUsd, 0);
    const intern = this.#status.agents.find((agent) => agent.name === "intern");
    // A sandbox that was started again has forgotten what it was told to try.
    const over = intern !== undefined && (["halted", "failed"].includes(intern.phase) || intern.restarts > 0);
    this.#haltedMs = over ? (this.#haltedMs ?? now) : undefined;
    for (const claim of this.#claims.claims.slice(this.#shown)) {
      const mark = claim.escaped ? tint("bad", "  ✗ ") : tint("faint", "  · ");
      this.#context.terminal.note([mark, tint("warn", "intern "), claim.title, tint("faint", `  ${claim.evidence}`)]);
    }
    this.#shown = this.#claims.claims.length;
  }

  #line(now: number): Line {
    const notes = this.count("board.written", "researcher");
    const texts = this.count("file.read", "researcher");
    const escaped = this.#claims.claims.filter((claim) => claim.escaped).length;
    const digest = this.count("output.written") > 0 ? "digest written" : "digest open";
    return [
      tint("accent", `${formatDuration(now - this.#startMs)}  `),
      `${texts} texts read · ${notes} notes · ${digest} · intern: ${this.#claims.claims.length} attempts, `,
      escaped > 0 ? tint("bad", `${escaped} claimed`) : "0 out",
      tint("faint", ` · ${formatUsd(this.#microUsd)}`),
    ];
  }
}

const isDigest = (event: MeshEvent): boolean =>
  event.type === "output.written" && Object.values(event.detail).includes(DIGEST);
