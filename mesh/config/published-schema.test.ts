import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { loadFleet } from "./load.ts";
import { publishedSchema } from "./published-schema.ts";

const pathOf = (place: string): string => fileURLToPath(new URL(`../../${place}`, import.meta.url));
const schema = JSON.parse(JSON.stringify(publishedSchema())) as Schema;

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

const target = (form: Schema): Schema => {
  const name = form.$ref?.replace("#/$defs/", "");
  return name === undefined ? form : target(schema.$defs?.[name] ?? assert.fail(`no definition \`${name}\``));
};

/** Every form that is reached, and for each object the keys that `value` has there; without a value, all that there are. */
function walk(at: string, named: Schema, value: unknown, tell: (form: Schema, at: string, key: string) => void): void {
  const form = target(named);
  const all = value === undefined;
  const entries = all ? [] : typeof value === "object" && value !== null ? Object.entries(value) : [];
  for (const [key, inner] of Object.entries(form.properties ?? {})) {
    const own = entries.find(([name]) => name === key)?.[1] as unknown;
    if (!all && own === undefined) continue;
    tell(form, at, key);
    walk(`${at}.${key}`, inner, own, tell);
  }
  const { additionalProperties: other, items } = form;
  for (const inner of [typeof other === "object" ? other : undefined, items])
    if (inner) for (const [, own] of all ? [["", undefined] as const] : entries) walk(`${at}.*`, inner, own, tell);
  for (const inner of form.anyOf ?? []) walk(at, inner, value, tell);
}

test("the published form is the one that is read", () => {
  assert.deepEqual(
    JSON.parse(readFileSync(pathOf("docs/fleet.schema.json"), "utf8")),
    schema,
    "run `node mesh/config/published-schema.ts > docs/fleet.schema.json`",
  );
});

test("the reference is a fleet, and leaves no key of the form out", () => {
  const file = pathOf("examples/reference/cordon.yaml");
  assert.equal(loadFleet(file).name, "reference");
  const known = new Map<string, string>();
  const named = new Set<string>();
  const idOf = (form: Schema, key: string): string => `${key} of ${JSON.stringify(form)}`;
  walk("", schema, undefined, (form, at, key) => known.set(idOf(form, key), `${at}.${key}`));
  walk("", schema, parse(readFileSync(file, "utf8")), (form, _at, key) => named.add(idOf(form, key)));
  assert.ok(known.size > 150, `${known.size} keys are known`);
  const missing = [...known].filter(([id]) => !named.has(id)).map(([, path]) => path);
  assert.deepEqual(missing, [], "name and explain them in examples/reference/cordon.yaml");
});
