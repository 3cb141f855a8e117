import { z } from "zod";
import { canonicalJson, type Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { JsonSchema } from "./definition.ts";

const compiled = new Map<string, z.ZodType>();
const COMPILED_MAX = 1_000;

/**
 * Whether a value fits a compiled schema; the error says where and why, without repeating the value. Takes only what
 * `compileSchema` gave: of that subset every keyword is held.
 */
export function validate(schema: JsonSchema, value: Json): Result<null, string> {
  const key = canonicalJson(schema);
  let type = compiled.get(key);
  if (!type) {
    if (compiled.size >= COMPILED_MAX) compiled.clear();
    type = z.fromJSONSchema(schema);
    compiled.set(key, type);
  }
  const parsed = type.safeParse(value);
  if (parsed.success) return ok(null);
  const [issue] = parsed.error.issues;
  const where = issue && issue.path.length > 0 ? `\`${issue.path.map(String).join(".")}\`` : "the value";
  return err(`${where}: ${issue?.message.replace(/^Invalid input: /, "").toLowerCase() ?? "does not fit"}`);
}
