import type { Refusal } from "../../../protocol/refusal.ts";
import type { Result } from "../../../lib/result.ts";
import type { Soon } from "../../../lib/soon.ts";
import type { ReachRule, RequestAction } from "../../policy/reach.ts";
import type { Write } from "../../store/store.ts";
import type { Authority } from "./authority.ts";

/** What goes out, as far as it is evidence. */
export interface Departure {
  /** Null: a tunnel that nobody reads. */
  readonly action: RequestAction | null;
  readonly to: Authority;
  readonly permit: Permit;
  readonly addresses: readonly string[];
  readonly credential: string | null;
  /** Known to be sent; what follows is asked for with `more`. */
  readonly bytes: number;
  readonly writes: readonly Write[];
}

/** How it ended. `sent` and `received` are bytes of bodies. */
export interface Arrival {
  readonly outcome: "answered" | "cut" | "failed" | "aborted";
  readonly status: number;
  readonly sent: number;
  readonly received: number;
  /** Reflections of credentials that were taken out. */
  readonly scrubbed: number;
  readonly reason: string;
}

export interface Pass {
  /**
   * What has come to stand against it since it was given: a halt, or a step of a workflow that may reach less. Asked
   * before each piece, in both directions; no evidence is kept of the asking.
   */
  objection(): Refusal | undefined;
  /** Reserves further bytes; false: no budget is left for them. */
  more(bytes: number): Promise<boolean>;
  /** A credential goes into a frame of a connection that stands. */
  injected(credential: string, writes: readonly Write[]): Promise<void>;
  /** Exactly once. */
  end(arrival: Arrival): Promise<void>;
}

export interface Permit {
  readonly rule: ReachRule;
  /** As evidence names it. */
  readonly name: string;
}

/**
 * Decides for one sandbox what the gateway carries, and keeps the evidence: whatever it answers is on disk before. It
 * stands at the door, the gateway only asks it.
 */
export interface Warden {
  readonly agent: string;
  /** Credentials that the agent may use. */
  readonly use: readonly string[];
  /** Whether anything may be asked of a place at all, and whether its tunnel is to be read. */
  tunnel(to: Authority): Promise<Result<Permit, Refusal>>;
  /**
   * At once where it is allowed: only a refusal is recorded first. `known` is what was given for the same action before:
   * given again while nothing has come to stand against it.
   */
  permit(action: RequestAction, known?: Permit): Soon<Result<Permit, Refusal>>;
  /** Reserves and records. */
  depart(departure: Departure): Promise<Result<Pass, Refusal>>;
  /** A refusal that the gateway found itself. */
  refused(about: { readonly [key: string]: string | number }, refusal: Refusal): Promise<void>;
  /** A fault of the mesh's own. */
  fault(error: unknown): void;
}
