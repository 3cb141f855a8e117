import { err, ok, type Result } from "../../lib/result.ts";
import type { Json } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import type { Expression, Reference } from "./definition.ts";
import { parseReference } from "./reference.ts";

const OPEN = "${{";
const CLOSE = "}}";

/** A value of the file → an expression. An object or list without holes is one constant. */
export function parseExpression(value: unknown, items: readonly string[]): Result<Expression, string> {
  if (typeof value === "string") return parseText(value, items);
  if (value === null || typeof value === "boolean" || typeof value === "number") {
    return typeof value !== "number" || Number.isFinite(value)
      ? ok({ kind: "constant", value })
      : err("not a number that JSON can hold");
  }
  if (Array.isArray(value)) {
    const parsed: Expression[] = [];
    for (const item of value as unknown[]) {
      const one = parseExpression(item, items);
      if (!one.ok) return one;
      parsed.push(one.value);
    }
    return ok(
      parsed.every((one) => one.kind === "constant")
        ? { kind: "constant", value: value as Json }
        : { kind: "list", items: parsed },
    );
  }
  if (typeof value !== "object") return err("not a value that JSON can hold");
  const fields: [string, Expression][] = [];
  for (const [name, item] of Object.entries(value)) {
    const one = parseExpression(item, items);
    if (!one.ok) return one;
    fields.push([name, one.value]);
  }
  return ok(
    fields.every(([, one]) => one.kind === "constant")
      ? { kind: "constant", value: value as Json }
      : { kind: "object", fields },
  );
}

/** `${{ a }}` alone keeps the type of `a`; anything around it makes a text. There is no escape: a text with `${{` has a hole. */
function parseText(text: string, items: readonly string[]): Result<Expression, string> {
  if (text.length > limits.workflow.expressionCharsMax)
    return err(`the text is longer than ${limits.workflow.expressionCharsMax} characters`);
  const parts: (string | Reference)[] = [];
  let holes = 0;
  for (let at = 0; at < text.length;) {
    const open = text.indexOf(OPEN, at);
    if (open !== at) parts.push(text.slice(at, open < 0 ? undefined : open));
    if (open < 0) break;
    const close = text.indexOf(CLOSE, open);
    if (close < 0) return err("`${{` is not closed by `}}`");
    if (++holes > limits.workflow.expressionHolesMax)
      return err(`the text has more than ${limits.workflow.expressionHolesMax} references`);
    const reference = parseReference(text.slice(open + OPEN.length, close).trim(), items);
    if (!reference.ok) return reference;
    parts.push(reference.value);
    at = close + CLOSE.length;
  }
  const [only] = parts;
  if (parts.length === 1 && typeof only === "object") return ok({ kind: "reference", reference: only });
  return ok(
    parts.every((part) => typeof part === "string") ? { kind: "constant", value: text } : { kind: "text", parts },
  );
}
