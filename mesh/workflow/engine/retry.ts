import { createHash } from "node:crypto";
import type { Retry } from "../definition.ts";

/**
 * Milliseconds before the next attempt. The jitter is drawn from the name of the attempt, so that a replay finds the
 * same, while no two runs keep step: the id of a run is random.
 */
export function backOffMs(retry: Retry, run: string, task: string, failedAttempts: number, attempt: number): number {
  const full = Math.min(retry.backoffMsMax, retry.backoffMs * 2 ** Math.min(failedAttempts - 1, 40));
  const drawn =
    createHash("sha256")
      .update(JSON.stringify([run, task, attempt]))
      .digest()
      .readUInt32BE(0) /
    2 ** 32;
  return Math.round(full * (1 - retry.jitter * drawn));
}
