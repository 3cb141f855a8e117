import type { Authority } from "./authority.ts";
import type { Entrance, Field, RawHead, WebHead } from "./head.ts";
import type { Plan } from "./injection.ts";
import type { Spot } from "./placeholders.ts";
import type { Permit } from "./warden.ts";

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
  /** What they take on the wire. */
  fieldBytes?: number;
}

/** The host and the fields as they are written upstream, before and behind the place in which a credential is put. */
export interface SaidLines {
  readonly to: Authority;
  readonly watched: boolean;
  /** There is such a place. */
  readonly put: boolean;
  readonly before: string;
  readonly after: string;
}

/** A request that was the same to the last letter. */
export interface SaidRequest {
  readonly raw: RawHead;
  readonly entrance: Entrance;
  readonly head: WebHead;
  /** As it was given then: whether it still stands only the warden can say (`Warden.permit`). */
  permit?: Permit;
  plan?: Plan;
  /** Path and query, and the first line with them. */
  target?: string;
  start?: string;
}

/**
 * What was made of the fields of a request, for those after it on the same connection that say them in the same words
 * (`KnownFields`): programs change the target only. Nothing in it takes the place of a permission, and no secret is in it.
 */
export interface Said {
  head?: SaidHead;
  spots?: readonly Spot[];
  lines?: SaidLines;
  /** The last one. */
  request?: SaidRequest;
}
