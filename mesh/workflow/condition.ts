import { celEnv, isCelError, parse, plan, type CelInput, type CelResult } from "@bufbuild/cel";
import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { readCondition } from "./condition-reading.ts";
import type { Condition } from "./definition.ts";
import { lookUp, type Scope } from "./expression.ts";

/**
 * CEL without arithmetic, regular expressions, time and conversions: conditions compare, and what they cost is bounded.
 * `items`: names known besides `input` and `steps`.
 */
export function parseCondition(source: string, items: readonly string[] = []): Result<Condition, string> {
  if (source.length > limits.workflow.conditionCharsMax)
    return err(`the condition is longer than ${limits.workflow.conditionCharsMax} characters`);
  if (bracketDepth(source) > limits.workflow.conditionDepthMax) return err("the condition is nested too deeply");
  try {
    const { expr } = parse(source);
    const references = readCondition(expr, items);
    return references.ok ? ok({ source, references: references.value }) : references;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return err(`the condition cannot be read: ${message.replace(/^<input>:1:/, "character ").slice(0, 200)}`);
  }
}

/** True, false, or why it is neither. Fails closed: an error is never read as false. */
export function evaluateCondition(condition: Condition, scope: Scope): Result<boolean, string> {
  const bindings = bindingsOf(condition, scope);
  if (!bindings.ok) return bindings;
  const value = compile(condition.source)(bindings.value);
  if (isCelError(value)) return err(`\`${condition.source}\`: ${value.message}`);
  return typeof value === "boolean" ? ok(value) : err(`\`${condition.source}\` gives no boolean`);
}

type Evaluate = (bindings: Record<string, CelInput>) => CelResult;
const environment = celEnv();
const compiled = new Map<string, Evaluate>();
const COMPILED_MAX = 1_000;

function compile(source: string): Evaluate {
  const known = compiled.get(source);
  if (known) return known;
  if (compiled.size >= COMPILED_MAX) compiled.clear();
  const evaluate = plan(environment, parse(source)) as Evaluate;
  compiled.set(source, evaluate);
  return evaluate;
}

/** Only what the condition refers to, as CEL values: numbers are doubles, objects are maps (no prototype is ever looked at). */
function bindingsOf({ references }: Condition, scope: Scope): Result<Record<string, CelInput>, string> {
  const steps = new Map<string, CelInput>();
  const bindings: Record<string, CelInput> = { steps };
  let left = limits.workflow.conditionValuesMax;
  for (const reference of references) {
    const whole = lookUp({ ...reference, path: [] }, scope);
    if (!whole.ok) return whole;
    left -= countValues(whole.value, left);
    if (left < 0) return err("the condition looks at too much data: refer to a smaller part, or let a step count");
    const value = toCel(whole.value);
    if (reference.root === "step") steps.set(reference.name, new Map([["output", value]]));
    else if (reference.root === "item") bindings[reference.name] = value;
    else if (reference.root === "input") bindings["input"] = value;
  }
  return ok(bindings);
}

/** Stops counting when there are more than `max`. */
function countValues(value: Json, max: number): number {
  let count = 1;
  if (value !== null && typeof value === "object") {
    for (const item of Object.values(value)) {
      if (count > max) break;
      count += countValues(item, max - count);
    }
  }
  return count;
}

function toCel(value: Json): CelInput {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(toCel);
  return new Map(Object.entries(value).map(([name, item]) => [name, toCel(item)]));
}

function bracketDepth(source: string): number {
  let depth = 0;
  let deepest = 0;
  for (const char of source) {
    if ("([{".includes(char)) deepest = Math.max(deepest, ++depth);
    else if (")]}".includes(char)) depth--;
  }
  return deepest;
}
