/**
 * Checks of the forms that calls have mostly, without the schema, which costs more than the rest of a long call's way
 * here. They only ever say yes to what the schema takes as it is: that is tested. Where one says no, the schema decides.
 */
export type Check = (value: unknown) => boolean;

export const isText: Check = (value) => typeof value === "string";
export const isFlag: Check = (value) => typeof value === "boolean";
export const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
export const isNull: Check = (value) => value === null;

export const textUpTo =
  (chars: number): Check =>
  (value) =>
    typeof value === "string" && value.length <= chars;

export const isWithin =
  (min: number, max: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;

export const isOneOf = (values: readonly unknown[]): Check => {
  const known = new Set(values);
  return (value) => known.has(value);
};

export const isEither =
  (a: Check, b: Check): Check =>
  (value) =>
    a(value) || b(value);

export const isListOf =
  (item: Check, min: number, max: number): Check =>
  (value) =>
    Array.isArray(value) && value.length >= min && value.length <= max && value.every(item);

/** An object that has all of `required`, and besides nothing but what `optional` names. */
export function hasOnly(required: Readonly<Record<string, Check>>, optional: Readonly<Record<string, Check>>): Check {
  const checks = new Map(Object.entries({ ...optional, ...required }));
  const names = Object.keys(required);
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const fields = value as Readonly<Record<string, unknown>>;
    // A list of the names would be made for every part of a call.
    for (const name in fields) if (checks.get(name)?.(fields[name]) !== true) return false;
    for (const name of names) if (!Object.hasOwn(fields, name)) return false;
    return true;
  };
}

/** Of what was read from JSON only a number can be no JSON: `1e999` is read as an infinity. */
export const isJson: Check = (value) => {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return value !== undefined;
  return Array.isArray(value) ? value.every(isJson) : Object.values(value).every(isJson);
};
