import { ok, type Result } from "../../lib/result.ts";
import type { Label } from "../../protocol/label.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { Inboxes } from "../bus/inboxes.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";

/** Something from outside of the fleet that wakes an agent. `cause` is `schedule:NAME` or `hook:NAME`. */
export interface Occasion {
  readonly to: string;
  readonly body: string;
  readonly cause: string;
  readonly label: Label;
}

/**
 * What a tick or a webhook does. Its rows go into the transaction of the tick or the delivery, so that both are on disk
 * or neither; another kind of effect (a workflow run) is another implementation.
 */
export interface Trigger {
  prepare(
    occasion: Occasion,
  ): Result<{ readonly id: string; readonly writes: readonly Write[]; done(): void }, Refusal>;
  /** Whether what an earlier occasion caused still goes on. */
  isOpen(id: string): boolean;
}

/** A message in the inbox of an agent, open until the agent has settled it. */
export function messageTrigger(inboxes: Inboxes, store: Store): Trigger {
  return {
    prepare: ({ to, body, cause, label }) => {
      const from = `principal:${cause}` as const;
      const posted = inboxes.post({ to, from, body, label, conversation: undefined, replyTo: null });
      return posted.ok ? ok(posted.value) : posted;
    },
    isOpen: (id) => store.query.messages.get(defaultTenant, id)?.state === "queued",
  };
}
