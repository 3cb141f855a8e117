import { evaluateCondition } from "../condition.ts";
import { evaluate } from "../expression.ts";
import { validate } from "../schema-validate.ts";
import type { Language } from "./language.ts";

export const language: Language = {
  value: evaluate,
  holds: evaluateCondition,
  misfit: (schema, value) => {
    const fit = validate(schema, value);
    return fit.ok ? undefined : fit.error;
  },
};
