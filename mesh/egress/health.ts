import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";

/** One model of one provider with one credential. */
export interface Route {
  readonly provider: string;
  readonly model: string;
  readonly credential: string | null;
}

export type CircuitState = "closed" | "open" | "half_open";

export interface CircuitChange extends Route {
  readonly state: CircuitState;
  readonly reason: string;
  /** While open: when the next call is let through, milliseconds since the Unix epoch. */
  readonly untilMs: number | null;
}

/** What one attempt has shown; `neutral`: nothing of the provider's health (the agent has gone, or erred). */
export type Health =
  | { readonly kind: "good" | "neutral" }
  | { readonly kind: "bad"; readonly reason: string; readonly retryAfterMs?: number | undefined };

interface Circuit {
  readonly route: Route;
  failures: number;
  /** How often in a row it has opened: each time for longer. */
  openings: number;
  /** On the monotonic clock; undefined while closed. */
  openUntilMs?: number | undefined;
  probing: boolean;
}

/**
 * Circuit breakers of models and credentials. After some failures in a row, or when the provider says when to come
 * back, calls go elsewhere; when the time is over one call tries, and its end decides for all. A circuit steers only
 * where there is another way: see failover.ts. Kept in memory: a new mesh finds out anew.
 */
export class Circuits {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #onChange: (change: CircuitChange) => void;
  readonly #known = new Map<string, Circuit>();

  /** `random` is in [0, 1): it spreads the probes of several meshes. */
  constructor(clock: Clock, random: () => number, onChange: (change: CircuitChange) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#onChange = onChange;
  }

  /** Failures in a row; of an open circuit Infinity, unless it is time for its probe. */
  failuresOf(route: Route): number {
    const circuit = this.#find(route);
    if (!circuit) return 0;
    return this.#isShut(circuit) ? Infinity : circuit.failures;
  }

  /** Must be called once for each attempt, and what it returns once when the attempt has ended. */
  begin(route: Route): (health: Health) => void {
    const circuit = this.#find(route);
    const probe = circuit?.openUntilMs !== undefined && !this.#isShut(circuit);
    if (circuit && probe) {
      circuit.probing = true;
      this.#tell(circuit, "half_open", "one call tries");
    }
    let ended = false;
    return (health) => {
      if (ended) return;
      ended = true;
      if (circuit && probe) circuit.probing = false;
      if (health.kind === "good") this.#close(route);
      else if (health.kind === "bad") this.#fail(route, health, probe);
    };
  }

  /** Every circuit that is not closed. */
  get open(): readonly Route[] {
    return [...this.#known.values()].flatMap(({ route, openUntilMs }) => (openUntilMs === undefined ? [] : [route]));
  }

  #isShut({ openUntilMs, probing }: Circuit): boolean {
    return openUntilMs !== undefined && (probing || this.#clock.monotonicMs() < openUntilMs);
  }

  #close(route: Route): void {
    const circuit = this.#find(route);
    if (!circuit) return;
    this.#known.delete(keyOf(route));
    if (circuit.openUntilMs !== undefined) this.#tell({ ...circuit, openUntilMs: undefined }, "closed", "it answers");
  }

  #fail(route: Route, { reason, retryAfterMs }: Extract<Health, { kind: "bad" }>, probe: boolean): void {
    const circuit = this.#circuit(route);
    circuit.failures++;
    const wasOpen = circuit.openUntilMs !== undefined;
    const opens = probe || retryAfterMs !== undefined || circuit.failures >= limits.model.circuitFailures;
    // Calls that were under way when it opened say nothing new, unless the provider names a time.
    if (!opens || (wasOpen && !probe && retryAfterMs === undefined)) return;
    if (!wasOpen || probe) circuit.openings++;
    const pause = Math.min(limits.model.circuitOpenMs * 2 ** (circuit.openings - 1), limits.model.circuitOpenMsMax);
    const jittered = (retryAfterMs ?? 0) + pause * (retryAfterMs === undefined ? 1 : 0.1) * (0.5 + this.#random() / 2);
    const untilMs = this.#clock.monotonicMs() + jittered;
    circuit.openUntilMs = wasOpen && !probe ? Math.max(untilMs, circuit.openUntilMs ?? 0) : untilMs;
    this.#tell(circuit, "open", reason);
  }

  /** While nothing has failed, which is most of the time, no key is put together. */
  #find(route: Route): Circuit | undefined {
    return this.#known.size === 0 ? undefined : this.#known.get(keyOf(route));
  }

  #circuit(route: Route): Circuit {
    const key = keyOf(route);
    const circuit = this.#known.get(key) ?? { route, failures: 0, openings: 0, probing: false };
    // The newest last: what is forgotten is what has not failed for longest.
    this.#known.delete(key);
    this.#known.set(key, circuit);
    if (this.#known.size > limits.model.circuitsMax) {
      const [oldest] = this.#known.keys();
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    return circuit;
  }

  #tell({ route, openUntilMs }: Circuit, state: CircuitState, reason: string): void {
    const untilMs =
      state === "open" && openUntilMs !== undefined
        ? Math.round(this.#clock.nowMs() + openUntilMs - this.#clock.monotonicMs())
        : null;
    this.#onChange({ ...route, state, reason, untilMs });
  }
}

const keyOf = ({ provider, model, credential }: Route): string => `${provider}/${model} ${credential ?? ""}`;
