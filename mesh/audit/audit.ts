import type { Json } from "../../lib/json.ts";
import type { Write } from "../store/store.ts";

/**
 * One fact worth evidence. `kind` is from a closed set (`decision`, `model.settled`, `sandbox.started` …);
 * `detail` never holds a secret or the text of a message.
 */
export interface AuditEvent {
  readonly kind: string;
  /** `agent:NAME`, `principal:NAME` or `mesh`. */
  readonly subject: string;
  readonly detail: { readonly [key: string]: Json };
}

export interface Audit {
  /**
   * Chains the event and commits it in one transaction with `writes`. Resolves when it is on disk:
   * await it before the effect that it permits. `later`: with the next transaction, and resolved at once, for what
   * permits nothing and what a crash puts right by itself.
   */
  record(event: AuditEvent, writes?: readonly Write[], when?: "later"): Promise<void>;
}
