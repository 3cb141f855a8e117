import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { JsonSchema } from "./definition.ts";
import { patternFault } from "./schema-pattern.ts";

/** Where in a schema something is wrong, and what. */
export interface SchemaFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const ANNOTATIONS = ["title", "description", "default", "examples", "$schema", "$comment"];
/** What each type may be asked for. `anyOf` and `$ref` stand alone; `$defs` at the root only. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format", "enum", "const"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum", "const"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum", "const"],
  boolean: ["enum", "const"],
  null: [],
};
const FORMATS = ["date-time", "date", "time", "email", "uuid", "uri"];
const COUNTS = ["minItems", "maxItems", "minLength", "maxLength"];
const NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/**
 * The subset of JSON Schema (draft 2020-12) that can be compared before a run and is checked in linear time within it.
 * References to `$defs` of the same schema are written out; annotations fall away. A keyword that is not known is refused.
 */
export function compileSchema(value: unknown): Result<JsonSchema, SchemaFault> {
  const compiler = new Compiler(isObject(value) && isObject(value["$defs"]) ? value["$defs"] : {});
  const schema = compiler.schema(value, [], []);
  return compiler.fault ? err(compiler.fault) : ok(schema);
}

type Path = readonly (string | number)[];
type Keys = Readonly<Record<string, unknown>>;

class Compiler {
  fault: SchemaFault | undefined;
  readonly #definitions: Keys;
  #nodes = 0;

  constructor(definitions: Keys) {
    this.#definitions = definitions;
  }

  schema(value: unknown, path: Path, open: readonly string[]): JsonSchema {
    if (this.fault) return {};
    if (!isObject(value)) return this.#refuse(path, "must be a schema: a mapping with `type`");
    if (++this.#nodes > limits.workflow.schemaNodesMax || path.length > 3 * limits.workflow.schemaDepthMax)
      return this.#refuse([], "the schema is too large");
    const keys = Object.keys(value).filter(
      (key) => !ANNOTATIONS.includes(key) && !(path.length === 0 && key === "$defs"),
    );
    if ("$ref" in value) return this.#reference(value, keys, path, open);
    if ("anyOf" in value) return this.#choice(value, keys, path, open);
    const types = this.#types(value, path);
    const allowed = [
      "type",
      ...(types.length === 0 ? ["enum", "const"] : types.flatMap((type) => KEYWORDS[type] ?? [])),
    ];
    const unknown = keys.find((key) => !allowed.includes(key));
    if (unknown !== undefined) return this.#unknown(unknown, types, path);
    return Object.fromEntries(keys.map((key) => [key, this.#keyword(value, key, path, open)]));
  }

  #types(value: Keys, path: Path): readonly string[] {
    const { type } = value;
    if (type === undefined) return [];
    const types: readonly unknown[] = Array.isArray(type) ? type : [type];
    const strange = types.find((one) => typeof one !== "string" || !Object.hasOwn(KEYWORDS, one));
    if (types.length === 0 || strange !== undefined || new Set(types).size !== types.length) {
      this.#refuse([...path, "type"], `must be one of ${Object.keys(KEYWORDS).join(", ")}, or a list of them`);
      return [];
    }
    return types as readonly string[];
  }

  #keyword(value: Keys, key: string, path: Path, open: readonly string[]): Json {
    const item = value[key];
    const at = [...path, key];
    if (key === "properties") return this.#properties(item, at, open);
    if (key === "items") return this.schema(item, at, open);
    if (key === "additionalProperties") return typeof item === "boolean" ? item : this.schema(item, at, open);
    if (key === "required") return this.#required(item, value["properties"], at);
    if (key === "enum") {
      if (Array.isArray(item) && item.length > 0 && item.every(isScalar)) return item;
      return this.#refuse(at, "must be a list of texts, numbers, booleans and null");
    }
    if (key === "const") return isScalar(item) ? item : this.#refuse(at, "must be a text, a number, a boolean or null");
    if (key === "format")
      return FORMATS.includes(String(item)) ? String(item) : this.#refuse(at, `must be one of ${FORMATS.join(", ")}`);
    if (key === "pattern") return this.#pattern(item, at);
    if (COUNTS.includes(key) && !(Number.isSafeInteger(item) && Number(item) >= 0))
      return this.#refuse(at, "must be a whole number from 0");
    if (NUMBERS.includes(key) && !(Number.isFinite(item) && (key !== "multipleOf" || Number(item) > 0)))
      return this.#refuse(at, key === "multipleOf" ? "must be a number above 0" : "must be a number");
    return item as Json;
  }

  #properties(value: unknown, path: Path, open: readonly string[]): Json {
    if (!isObject(value)) return this.#refuse(path, "must be a mapping from names to schemas");
    return Object.fromEntries(
      Object.entries(value).map(([name, schema]) => [name, this.schema(schema, [...path, name], open)]),
    );
  }

  #required(value: unknown, properties: unknown, path: Path): Json {
    if (!Array.isArray(value) || !value.every((name) => typeof name === "string"))
      return this.#refuse(path, "must be a list of property names");
    const missing = value.find((name) => !isObject(properties) || !Object.hasOwn(properties, name));
    if (missing !== undefined) return this.#refuse(path, `\`${missing}\` is required but not among \`properties\``);
    return value;
  }

  #pattern(value: unknown, path: Path): Json {
    if (typeof value !== "string") return this.#refuse(path, "must be a text");
    const fault = patternFault(value);
    return fault === undefined ? value : this.#refuse(path, fault);
  }

  #choice(value: Keys, keys: readonly string[], path: Path, open: readonly string[]): JsonSchema {
    const { anyOf } = value;
    if (keys.length > 1 || !Array.isArray(anyOf) || anyOf.length === 0)
      return this.#refuse(path, "`anyOf` is a list of schemas and stands alone");
    return { anyOf: anyOf.map((one, index) => this.schema(one, [...path, "anyOf", index], open)) };
  }

  #reference(value: Keys, keys: readonly string[], path: Path, open: readonly string[]): JsonSchema {
    const { $ref } = value;
    const name = typeof $ref === "string" && $ref.startsWith("#/$defs/") ? $ref.slice("#/$defs/".length) : "";
    if (keys.length > 1 || !Object.hasOwn(this.#definitions, name))
      return this.#refuse([...path, "$ref"], "must be `#/$defs/NAME` of the same schema, and stand alone");
    if (open.includes(name)) return this.#refuse([...path, "$ref"], `\`${name}\` contains itself`);
    return this.schema(this.#definitions[name], path.length === 0 ? ["$defs", name] : path, [...open, name]);
  }

  #unknown(keyword: string, types: readonly string[], path: Path): JsonSchema {
    const owners = Object.keys(KEYWORDS).filter((type) => KEYWORDS[type]?.includes(keyword));
    const message =
      owners.length > 0
        ? `\`${keyword}\` belongs to type ${owners.join(" or ")}${types.length > 0 ? `, not ${types.join(", ")}` : ": add `type`"}`
        : `the keyword \`${keyword}\` is not in the subset that can be checked before a run`;
    return this.#refuse([...path, keyword], message);
  }

  #refuse(path: Path, message: string): JsonSchema {
    this.fault ??= { path, message };
    return {};
  }
}

const isObject = (value: unknown): value is Keys =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isScalar = (value: unknown): value is string | number | boolean | null =>
  value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
