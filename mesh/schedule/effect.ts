import { z } from "zod";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Expression } from "../workflow/definition.ts";
import { referencesOf } from "../workflow/expression.ts";
import { parseExpression } from "../workflow/parse-expression.ts";

/** What a tick or a webhook causes. */
export type Effect =
  /** `body` null: what came in. */
  | { readonly kind: "message"; readonly to: string; readonly body: string | null }
  /** `file` is absolute; `input` may refer to what came in, as `body`. */
  | { readonly kind: "workflow"; readonly file: string; readonly input: Expression };

/** Keys of an entry of the fleet file besides `message`. */
export const workflowFields = {
  workflow: z.string().min(1).max(512).optional(),
  input: z.unknown().optional(),
};

interface EffectForm {
  readonly message?: { readonly to: string; readonly body?: string } | undefined;
  readonly workflow?: string | undefined;
  readonly input?: unknown;
}

export interface EffectContext {
  readonly agents: ReadonlySet<string>;
  /** The workflow file of the entry, absolute; null when it names none, or none that is there. */
  readonly workflow: string | null;
  /** The input of a run when the entry says nothing. */
  readonly inputDefault: unknown;
}

export interface EffectFault {
  readonly at: readonly string[];
  readonly message: string;
  readonly fix: string;
}

export function readEffect(form: EffectForm, context: EffectContext): Result<Effect, EffectFault> {
  const { message, workflow, input } = form;
  if ((message === undefined) === (workflow === undefined))
    return fault([], "an entry has one of `message` and `workflow`", "give one of them");
  if (message !== undefined) {
    if (input !== undefined) return fault(["input"], "`input` belongs to `workflow`", "remove it");
    if (!context.agents.has(message.to))
      return fault(["message", "to"], `no agent \`${message.to}\``, "declare it under `agents`, or correct the name");
    return ok({ kind: "message", to: message.to, body: message.body ?? null });
  }
  const parsed = parseExpression(input ?? context.inputDefault, [BODY]);
  if (!parsed.ok) return fault(["input"], parsed.error, "use constants and `${{ body.NAME }}`");
  if (referencesOf(parsed.value).some(({ root }) => root !== "item"))
    return fault(["input"], "before a run there is nothing but `body`", "use constants and `${{ body.NAME }}`");
  // A file that is missing was told already.
  return ok({ kind: "workflow", file: context.workflow ?? "", input: parsed.value });
}

export const BODY = "body";

const fault = (at: readonly string[], message: string, fix: string): Result<never, EffectFault> =>
  err({ at, message, fix });
