import type { AnswerSink, Outcome } from "./answer-relay.ts";
import type { Health } from "./health.ts";
import { retryAfterMs } from "./retry-after.ts";
import type { Meter } from "./wire/format.ts";

/** What comes after one attempt: its answer stands, or another model may be asked. */
export interface Verdict {
  readonly next: boolean;
  readonly health: Health;
}

/** What of an attempt has reached the agent. */
export type Delivery = Readonly<Pick<DeliveryGate, "delivered" | "retryAfter">>;

/**
 * Another model is asked when this one could not be reached, was too slow to begin, is overloaded, broken, or does not
 * take the fleet's credential or has no credit; never for a fault of the caller, never when anything of an answer was
 * delivered, never when the agent has gone. A credential in an answer ends the call as well.
 */
export function verdictOf(outcome: Outcome, gate: Delivery, nowMs: number): Verdict {
  if (outcome.kind === "answered") return ANSWERED;
  if (outcome.kind === "aborted") return { next: false, health: { kind: "neutral" } };
  if (outcome.kind === "passed_error") {
    const { status } = outcome;
    if (!OF_THE_PROVIDER.has(status) && status < 500) return { next: false, health: { kind: "neutral" } };
    const pause = retryAfterMs(gate.retryAfter, nowMs);
    return { next: !gate.delivered, health: { kind: "bad", reason: `status ${status}`, retryAfterMs: pause } };
  }
  if (outcome.kind === "failed") {
    const reason = outcome.refusal.reason.slice(0, 200);
    if (outcome.ours) return { next: !gate.delivered, health: { kind: "neutral" } };
    // The one failure that was read before it was told: the answer held the credential.
    if (outcome.billed === "seen") return { next: false, health: { kind: "neutral" } };
    return { next: !gate.delivered, health: { kind: "bad", reason } };
  }
  // Cut: some cuts are ours (a budget, a credential in the answer), and say nothing of the provider.
  if (!BROKEN.has(outcome.reason)) return { next: false, health: { kind: "neutral" } };
  // Words came: an agent that asks for many of them or reads none must not make the provider look broken to all others.
  if (outcome.reason === "timeout" && gate.delivered) return { next: false, health: { kind: "neutral" } };
  return { next: !gate.delivered, health: { kind: "bad", reason: outcome.reason } };
}

const ANSWERED: Verdict = { next: false, health: { kind: "good" } };
/** Statuses below 500 that are not the caller's fault: no credit, a time-out, too early, too many requests. */
const OF_THE_PROVIDER: ReadonlySet<number> = new Set([402, 408, 425, 429]);
const BROKEN: ReadonlySet<string> = new Set(["upstream_broken", "upstream_incomplete", "timeout"]);

/**
 * Holds back what an attempt says until the first word of its answer: up to there it can be taken back, and another
 * model asked, also when a stream began politely and then told of an overload. From there on everything passes as it
 * comes.
 */
export class DeliveryGate implements AnswerSink {
  delivered = false;
  /** As the provider said it. */
  retryAfter: string | undefined;
  readonly #sink: AnswerSink;
  readonly #meter: Meter;
  #head: Parameters<AnswerSink["head"]> | undefined;
  #held: Buffer[] = [];
  /** A word was read, and is about to be passed on. */
  #answering = false;

  constructor(sink: AnswerSink, meter: Meter) {
    this.#sink = sink;
    this.#meter = meter;
  }

  /** The meter for this attempt: it tells the gate when an answer begins. */
  get meter(): Meter {
    const meter = this.#meter;
    return {
      get usage() {
        return meter.usage;
      },
      get outputTokensSeen() {
        return meter.outputTokensSeen;
      },
      get outputBytesSeen() {
        return meter.outputBytesSeen;
      },
      get complete() {
        return meter.complete;
      },
      read: (data) => meter.read(data),
      ...(meter.pieces && { pieces: (chunk: Buffer) => meter.pieces?.(chunk) }),
      passed: () => {
        this.#answering ||= meter.outputBytesSeen > 0 || meter.complete;
        meter.passed();
      },
      ending: (reason) => meter.ending(reason),
    };
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#head = [status, headers];
    this.retryAfter = headers["retry-after"];
  }

  write(bytes: Buffer): boolean {
    if (this.delivered) return this.#sink.write(bytes);
    this.#held.push(Buffer.from(bytes));
    return this.#answering ? this.release() : true;
  }

  drained(resume: () => void): void {
    this.#sink.drained(resume);
  }

  /** Delivers what is held: this attempt's answer stands. False when the reader is slower than this. */
  release(): boolean {
    if (this.delivered || !this.#head) return true;
    this.delivered = true;
    this.#sink.head(...this.#head);
    const held = this.#held;
    this.#held = [];
    return held.map((bytes) => this.#sink.write(bytes)).every(Boolean);
  }
}
