import { canonicalJson, type Json } from "../../lib/json.ts";
import type { JsonSchema } from "./definition.ts";

/** What is known of a value before a run, as a compiled schema; `{}` = nothing. */
export type Type = JsonSchema;
export const anything: Type = {};

const record = (value: Json | undefined): Readonly<Record<string, JsonSchema>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, JsonSchema>) : {};
export const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
export const choices = (type: Type): readonly Type[] => list(type["anyOf"]) as readonly Type[];

/** The JSON types that a value can have; undefined = any. */
export function typesOf(type: Type): ReadonlySet<string> | undefined {
  if (type["anyOf"] !== undefined) {
    const each = choices(type).map(typesOf);
    return each.every((one) => one !== undefined) ? new Set(each.flatMap((one) => [...one])) : undefined;
  }
  const stated = type["type"];
  if (stated !== undefined) return new Set(typeof stated === "string" ? [stated] : (stated as string[]));
  const values = valuesOf(type);
  return values && new Set(values.map(typeOfValue));
}

/** The values of `enum` or `const`; undefined = not listed. */
export function valuesOf(type: Type): readonly Json[] | undefined {
  if (type["const"] !== undefined) return [type["const"]];
  return type["enum"] === undefined ? undefined : list(type["enum"]);
}

export const propertiesOf = (type: Type): Readonly<Record<string, Type>> => record(type["properties"]);
export const requiredOf = (type: Type): readonly string[] => list(type["required"]) as readonly string[];

export const typeOfValue = (value: Json): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "array"
      : typeof value === "number" && Number.isSafeInteger(value)
        ? "integer"
        : typeof value;

/** The type of a constant: exact for scalars, closed for objects. */
export function typeOfConstant(value: Json): Type {
  if (value === null || typeof value !== "object") return { type: typeOfValue(value), const: value };
  if (Array.isArray(value)) return arrayOf(value.map(typeOfConstant));
  return objectOf(Object.entries(value).map(([name, item]) => [name, typeOfConstant(item)]));
}

export const objectOf = (fields: readonly (readonly [string, Type])[]): Type => ({
  type: "object",
  properties: Object.fromEntries(fields),
  required: fields.map(([name]) => name),
  additionalProperties: false,
});

export function arrayOf(items: readonly Type[]): Type {
  const distinct = [...new Map(items.map((item) => [canonicalJson(item), item])).values()];
  const length = { minItems: items.length, maxItems: items.length };
  if (distinct.length === 0) return { type: "array", ...length };
  return { type: "array", items: distinct.length === 1 ? (distinct[0] ?? {}) : { anyOf: distinct }, ...length };
}

export function nullable(type: Type): Type {
  const types = typesOf(type);
  return !types || types.has("null") ? type : { anyOf: [type, { type: "null" }] };
}

/**
 * The type of member `name`. `missing`: there is none for certain. `null`: the value itself can be null, so that the
 * member cannot be relied on; `absent`: it is declared, but need not be there.
 */
export function memberOf(type: Type, name: string): Type | "missing" | "null" | "absent" {
  if (type["anyOf"] !== undefined) {
    const members = choices(type).map((choice) => memberOf(choice, name));
    const failed = members.find((member) => typeof member === "string");
    if (failed !== undefined) return typesOf(type)?.has("null") ? "null" : failed;
    return { anyOf: members as Type[] };
  }
  const types = typesOf(type);
  if (!types) return anything;
  if (types.has("null") && types.size > 1) return "null";
  if (types.has("object") && types.size === 1) {
    const member = propertiesOf(type)[name];
    if (member && Object.hasOwn(propertiesOf(type), name)) return requiredOf(type).includes(name) ? member : "absent";
    if (type["additionalProperties"] === false || type["properties"] !== undefined) return "missing";
    return anything;
  }
  if (types.has("array") && types.size === 1) {
    const items = type["items"];
    return /^\d+$/.test(name) ? (items === undefined ? anything : (items as Type)) : "missing";
  }
  return "missing";
}
