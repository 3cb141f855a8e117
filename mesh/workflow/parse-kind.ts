import { err, ok, type Result } from "../../lib/result.ts";
import type { Work } from "./definition.ts";
import type { StepForm } from "./form.ts";

const kinds = ["agent", "tool", "approve", "map", "workflow", "wait"] as const satisfies readonly Work["kind"][];

/** The keys that only some kinds have; what is true of every step is not here. */
const KEYS: Readonly<Record<(typeof kinds)[number], readonly (keyof StepForm)[]>> = {
  agent: ["task", "with", "input", "output", "retry", "timeout", "budget", "may", "accepts"],
  tool: ["as", "with", "output", "retry", "timeout", "may", "accepts"],
  approve: ["with"],
  map: ["timeout", "budget"],
  workflow: ["with", "retry", "timeout", "budget"],
  wait: ["as", "timeout"],
};
const REQUIRED: Partial<Record<(typeof kinds)[number], keyof StepForm>> = { agent: "task", tool: "as" };

export function kindOf(form: StepForm): Result<Work["kind"], string> {
  const present = kinds.filter((kind) => form[kind] !== undefined);
  const [kind] = present;
  if (kind !== undefined && present.length === 1) return ok(kind);
  return err(
    present.length === 0 ? "the step does nothing" : `the step has ${present.length} kinds: ${present.join(", ")}`,
  );
}

/** Keys that do nothing for this kind would mislead whoever reads the file; keys that it needs must be there. */
export function strayKeys(
  kind: Work["kind"],
  form: StepForm,
): readonly { readonly key: string; readonly message: string; readonly fix: string }[] {
  const special = [...new Set(Object.values(KEYS).flat())];
  const stray = special
    .filter((key) => form[key] !== undefined && !KEYS[kind].includes(key))
    .map((key) => ({ key, message: `\`${key}\` means nothing in a step of kind \`${kind}\``, fix: "remove it" }));
  const needed = REQUIRED[kind];
  return needed === undefined || form[needed] !== undefined
    ? stray
    : [...stray, { key: kind, message: `a step of kind \`${kind}\` needs \`${needed}\``, fix: `add \`${needed}\`` }];
}
