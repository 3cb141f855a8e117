import { hash } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { canonicalJson, type Json } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";

/** Who shares answers, and for how long. */
export interface CacheRule {
  /** `agent:NAME`, or where the fleet file says so `team:NAME`, `tenant:NAME` or `tenant:NAME/team:NAME`: never wider. */
  readonly scope: string;
  readonly ttlMs: number;
  /** Answers that would be others the next time are kept, too. */
  readonly nondeterministic: boolean;
}

/** A whole answer, as an agent got it: scrubbed, and in the agent's format. */
export interface KeptAnswer {
  /** Whose call it answered: what it says is as good as what that agent was told. */
  readonly agent: string;
  /** Who answered: `provider/model`. */
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly pieces: readonly Buffer[];
  /** Wall clock. */
  readonly atMs: number;
}

interface Entry extends KeptAnswer {
  readonly bytes: number;
  /** On the monotonic clock. */
  readonly untilMs: number;
}

/** Answers to calls that are the same to the letter. In memory, bounded; what was not used for longest goes first. */
export class ResponseCache {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `about`: everything besides the body that decides what is answered. */
  static keyOf({ scope }: CacheRule, about: readonly Json[], body: Json): string {
    return hash("sha256", canonicalJson([scope, about, body]), "base64");
  }

  get(key: string): KeptAnswer | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#drop(key, entry);
    if (this.#clock.monotonicMs() >= entry.untilMs) return undefined;
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    return entry;
  }

  put(key: string, { ttlMs }: CacheRule, answer: Omit<KeptAnswer, "atMs">): void {
    const bytes = answer.pieces.reduce((sum, { length }) => sum + length, ENTRY_BYTES);
    if (bytes > limits.model.cachedAnswerBytesMax) return;
    const old = this.#entries.get(key);
    if (old) this.#drop(key, old);
    this.#entries.set(key, {
      ...{ ...answer, bytes, atMs: this.#clock.nowMs() },
      untilMs: this.#clock.monotonicMs() + ttlMs,
    });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= limits.model.cacheBytesMax) break;
      this.#drop(oldest, entry);
    }
  }

  #drop(key: string, { bytes }: Entry): void {
    if (this.#entries.delete(key)) this.#bytes -= bytes;
  }
}

/** What an entry takes besides its answer. */
const ENTRY_BYTES = 1_024;
