import type { Path, Template } from "./template.ts";

/** Literal, case-insensitive; of several alternatives one must be found. No expressions of any kind. */
export interface TextMatch {
  readonly starts: readonly string[];
  readonly contains: readonly string[];
  /** None of these may be found. */
  readonly lacks: readonly string[];
}

/** A value whose leaves are templates. */
export type ArgumentForm =
  | { readonly template: Template }
  | { readonly list: readonly ArgumentForm[] }
  | { readonly fields: readonly (readonly [string, ArgumentForm])[] }
  | { readonly constant: null | boolean | number };

/**
 * One thing that the model may do next. It applies when `when` holds and, for a call, when at least one of
 * its calls was not made yet in this turn: so a list of steps is worked off from top to bottom.
 */
export interface Step {
  readonly name: string;
  readonly when: {
    readonly user: TextMatch | null;
    /** Paths that must lead to something other than nothing, an empty list or an empty text. */
    readonly some: readonly Path[];
    readonly none: readonly Path[];
  };
  readonly action: SayAction | CallAction;
}

interface SayAction {
  readonly say: Template;
}

export interface CallAction {
  /** The calls are made once, or once for each item at this path. */
  readonly each: Path | null;
  /** Which items: by the text in one of their fields. */
  readonly where: readonly (readonly [field: string, match: TextMatch])[];
  readonly call: { readonly tool: string; readonly arguments: ArgumentForm };
  /** Calls in one answer at most. */
  readonly parallel: number;
}

/** Whoever the system prompt says that the model is, and what it then does. The first whose `system` matches speaks. */
export interface Role {
  readonly name: string;
  readonly system: TextMatch | null;
  readonly steps: readonly Step[];
}

export interface Scenario {
  /** `NAME` of the model id `rehearsal/NAME`. */
  readonly name: string;
  readonly roles: readonly Role[];
}

export function textMatches(match: TextMatch, text: string): boolean {
  const folded = text.toLowerCase();
  const starts = match.starts.length === 0 || match.starts.some((start) => folded.startsWith(start.toLowerCase()));
  const contains = match.contains.length === 0 || match.contains.some((part) => folded.includes(part.toLowerCase()));
  return starts && contains && !match.lacks.some((part) => folded.includes(part.toLowerCase()));
}
