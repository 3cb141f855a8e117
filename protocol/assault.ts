/** What `cordon assault` finds out: one result for each attempt to get out of a container. */

/** `escape`: something of the host or of another container is reached. `surface`: a wall is missing that would make it harder. */
export type AssaultGrade = "escape" | "surface";

export interface AssaultAttempt {
  readonly id: string;
  readonly title: string;
  readonly threat: "network" | "kernel" | "host" | "identity" | "processes" | "exhaustion";
  readonly grade: AssaultGrade;
  /** OWASP Top 10 for Agentic Applications (2026) and for LLM Applications (2025). */
  readonly owasp: readonly string[];
}

export interface AssaultResult extends AssaultAttempt {
  /** `unknown`: it did not report, so nothing is known of it. */
  readonly verdict: "stopped" | "out" | "unknown";
  /** What stopped it, in words; empty when nothing did. */
  readonly stoppedBy: string;
  /** What was seen: error codes, paths, addresses. Text from inside: never trusted. */
  readonly evidence: string;
}

export interface AssaultReport {
  /** Whose walls: a backend's name, or the words of a launcher. */
  readonly subject: string;
  readonly results: readonly AssaultResult[];
  /** Why no verdict could be had; absent when every attempt was made. */
  readonly fault?: string;
}

/** What `mesh assault` prints, one JSON document a line. */
export type AssaultLine =
  | { readonly kind: "result"; readonly id: string; readonly stopped: boolean; readonly of: number }
  | { readonly kind: "report"; readonly report: AssaultReport };
