import type { Json } from "../../../lib/json.ts";

/**
 * Reads single fields of a provider's answer. A schema on each event of a stream costs more than the rest of the
 * gateway, so the meters take only what they need; schemas are their oracles in the tests. What has another form
 * than expected is absent, and hides nothing beside it.
 */
export type Fields = { readonly [name: string]: Json | undefined };

const NONE: Fields = {};
const EMPTY: readonly Json[] = [];

/** The fields of an object; of anything else none. */
export const fieldsOf = (value: Json | undefined): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : NONE;

export const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : EMPTY);

export const textOf = (value: Json | undefined): string => (typeof value === "string" ? value : "");

/** A natural number, or undefined. */
export const countOf = (value: Json | undefined): number | undefined =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

/** A place in a list, up to `max`; anything else is the first. */
export function indexOf(value: Json | undefined, max: number): number {
  const index = countOf(value) ?? 0;
  return index <= max ? index : 0;
}

/** Undefined: it is not JSON. */
export function jsonOf(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
