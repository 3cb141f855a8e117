import type { Json } from "../../lib/json.ts";
import { choices, propertiesOf, requiredOf, typesOf, valuesOf, type Type } from "./schema-type.ts";

/**
 * Why some value of type `source` would be refused by `target`, as far as types, members and listed values tell;
 * undefined = nothing speaks against it. Bounds, formats and patterns are checked in the run. What is not known fits.
 */
export function misfit(source: Type, target: Type, where = ""): string | undefined {
  if (source["anyOf"] !== undefined)
    return choices(source)
      .map((choice) => misfit(choice, target, where))
      .find((fault) => fault !== undefined);
  if (target["anyOf"] !== undefined) {
    const faults = choices(target).map((choice) => misfit(source, choice, where));
    return faults.includes(undefined)
      ? undefined
      : (faults.toSorted((a, b) => (b?.length ?? 0) - (a?.length ?? 0))[0] ?? undefined);
  }
  return (
    misfitOfTypes(source, target, where) ??
    misfitOfValues(source, target, where) ??
    misfitOfParts(source, target, where)
  );
}

function misfitOfTypes(source: Type, target: Type, where: string): string | undefined {
  const has = typesOf(source);
  const wants = typesOf(target);
  if (!has || !wants) return undefined;
  const odd = [...has].filter((type) => !wants.has(type) && !(type === "integer" && wants.has("number")));
  if (odd.length === 0) return undefined;
  // A listed value says itself what it is.
  return `${where === "" ? "it" : `\`${where}\``} ${odd.length < has.size ? "can be" : "is"} ${odd.join(" or ")}, and ${[...wants].join(" or ")} is wanted`;
}

function misfitOfValues(source: Type, target: Type, where: string): string | undefined {
  const has = valuesOf(source);
  const wants = valuesOf(target);
  if (!has || !wants) return undefined;
  const odd = has.find((value) => !wants.includes(value));
  if (odd === undefined) return undefined;
  return `${where === "" ? "it" : `\`${where}\``} can be ${show(odd)}, and ${wants.map(show).join(" or ")} is wanted`;
}

function misfitOfParts(source: Type, target: Type, where: string): string | undefined {
  const inner = (name: string): string => (where === "" ? name : `${where}.${name}`);
  const items = source["items"];
  if (items !== undefined && target["items"] !== undefined)
    return misfit(items as Type, target["items"] as Type, inner("*"));
  if (source["properties"] === undefined) return undefined;
  const has = propertiesOf(source);
  for (const name of requiredOf(target)) {
    if (!Object.hasOwn(has, name)) {
      if (source["additionalProperties"] === undefined || source["additionalProperties"] === false)
        return `\`${inner(name)}\` is missing`;
    } else if (!requiredOf(source).includes(name)) return `\`${inner(name)}\` can be missing`;
  }
  const wants = propertiesOf(target);
  for (const [name, type] of Object.entries(has)) {
    const wanted = Object.hasOwn(wants, name) ? wants[name] : undefined;
    if (wanted) {
      const fault = misfit(type, wanted, inner(name));
      if (fault !== undefined) return fault;
    } else if (target["additionalProperties"] === false) return `\`${inner(name)}\` is not known there`;
  }
  return undefined;
}

const show = (value: Json): string => JSON.stringify(value);
