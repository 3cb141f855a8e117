import { canonicalJson, type Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Expression, Reference } from "./definition.ts";
import { showReference } from "./reference.ts";

/** What references mean at one moment of a run. */
export interface Scope {
  readonly runId: string;
  readonly input: Json;
  /** Outputs of the steps that are done; a step that is not here gives null. */
  readonly outputs: Pick<ReadonlyMap<string, Json>, "get">;
  /** Inside a map: its item, by the name that the map gives it. */
  readonly item?: { readonly name: string; readonly value: Json };
}

/** The value with its holes filled. The error names the reference that leads nowhere. Never runs text as code. */
export function evaluate(expression: Expression, scope: Scope): Result<Json, string> {
  switch (expression.kind) {
    case "constant":
      return ok(expression.value);
    case "reference":
      return lookUp(expression.reference, scope);
    case "text":
      return evaluateText(expression.parts, scope);
    case "list": {
      const items: Json[] = [];
      for (const item of expression.items) {
        const value = evaluate(item, scope);
        if (!value.ok) return value;
        items.push(value.value);
      }
      return ok(items);
    }
    case "object": {
      const fields: [string, Json][] = [];
      for (const [name, item] of expression.fields) {
        const value = evaluate(item, scope);
        if (!value.ok) return value;
        fields.push([name, value.value]);
      }
      return ok(Object.fromEntries(fields));
    }
  }
}

/** Texts stand as they are; anything else as canonical JSON. */
function evaluateText(parts: readonly (string | Reference)[], scope: Scope): Result<string, string> {
  let text = "";
  for (const part of parts) {
    if (typeof part === "string") {
      text += part;
      continue;
    }
    const value = lookUp(part, scope);
    if (!value.ok) return value;
    text += typeof value.value === "string" ? value.value : canonicalJson(value.value);
  }
  return ok(text);
}

/** A member that is not there is an error, not null: a misspelt name must not pass as "nothing". */
export function lookUp(reference: Reference, scope: Scope): Result<Json, string> {
  const root = rootOf(reference, scope);
  if (root === undefined) return err(`\`${showReference(reference)}\` is not known here`);
  let value: Json = root;
  for (const name of reference.path) {
    const next = memberOf(value, name);
    if (next === undefined) return err(`\`${showReference(reference)}\`: there is no \`${name}\``);
    value = next;
  }
  return ok(value);
}

function rootOf({ root, name }: Reference, scope: Scope): Json | undefined {
  if (root === "input") return scope.input;
  if (root === "run") return { id: scope.runId };
  if (root === "step") return scope.outputs.get(name) ?? null;
  return scope.item?.name === name ? scope.item.value : undefined;
}

function memberOf(value: Json, name: string): Json | undefined {
  if (value === null || typeof value !== "object") return undefined;
  return Object.hasOwn(value, name) && !(Array.isArray(value) && name === "length")
    ? (value as Readonly<Record<string, Json>>)[name]
    : undefined;
}

/** Every reference in it, in order. */
export function referencesOf(expression: Expression): readonly Reference[] {
  switch (expression.kind) {
    case "constant":
      return [];
    case "reference":
      return [expression.reference];
    case "text":
      return expression.parts.filter((part) => typeof part === "object");
    case "list":
      return expression.items.flatMap(referencesOf);
    case "object":
      return expression.fields.flatMap(([, item]) => referencesOf(item));
  }
}
