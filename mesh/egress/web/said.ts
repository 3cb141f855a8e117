import type { Authority } from "./authority.ts";
import type { Field } from "./head.ts";
import type { Spot } from "./placeholders.ts";

/** What the hosts and fields of a request mean, whatever its target is. */
export interface SaidHead {
  /** The place that its host was found to agree with. */
  readonly to: Authority;
  /** End-to-end fields only. */
  readonly fields: readonly Field[];
  /** Of the body; null = not said. */
  readonly bytes: number | null;
  readonly carries: boolean;
  readonly destination: string | undefined;
}

/** Fields as they are written upstream, but for the value in which a credential is put. */
export interface SaidLines {
  readonly watched: boolean;
  /** The field with the placeholder in it. */
  readonly put: Field | null;
  readonly before: string;
  readonly after: string;
}

/**
 * What was made of the fields of a request, for those after it on the same connection that say them in the same words
 * (`KnownFields`): programs change the target only. Nothing in it depends on a permission, and no secret is in it.
 */
export interface Said {
  head?: SaidHead;
  spots?: readonly Spot[];
  lines?: SaidLines;
}
