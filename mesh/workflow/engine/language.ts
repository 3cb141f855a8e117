import type { Json } from "../../../lib/json.ts";
import type { Result } from "../../../lib/result.ts";
import type { Condition, Expression, JsonSchema } from "../definition.ts";
import type { Scope } from "../expression.ts";

/** The pure functions that a workflow's values and conditions are made with. An error is a text for people. */
export interface Language {
  value(expression: Expression, scope: Scope): Result<Json, string>;
  holds(condition: Condition, scope: Scope): Result<boolean, string>;
  /** Why `value` does not fit; undefined when it does. */
  misfit(schema: JsonSchema, value: Json): string | undefined;
}
