import { createHash } from "node:crypto";

interface Attempt {
  readonly run: string;
  readonly task: string;
  readonly attempt: number;
}

/** Attempts whose calls are counted at the same moment. */
const ATTEMPTS_KEPT = 4_096;

/**
 * Idempotency keys of the calls that an agent makes for an attempt of a task. An agent that is started anew after a
 * crash, and does the same again, gives the same names in the same order; another attempt gives others.
 */
export class CallNames {
  readonly #counts = new Map<string, Map<string, number>>();

  /** `session`: the sandbox, so that a new one begins to count anew. */
  next({ run, task, attempt }: Attempt, session: string, destination: string, body: Uint8Array): string {
    const what = createHash("sha256")
      .update(JSON.stringify([run, task, attempt, destination]))
      .update(body)
      .digest("hex");
    const place = JSON.stringify([run, task, attempt, session]);
    const counts = this.#counts.get(place) ?? new Map<string, number>();
    const count = counts.get(what) ?? 0;
    counts.set(what, count + 1);
    // The newest is kept longest.
    this.#counts.delete(place);
    this.#counts.set(place, counts);
    if (this.#counts.size > ATTEMPTS_KEPT) this.#counts.delete(this.#counts.keys().next().value ?? "");
    return createHash("sha256").update(`${what} ${count}`).digest("base64url");
  }
}
