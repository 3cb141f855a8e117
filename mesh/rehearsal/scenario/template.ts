import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { applyFilter, asText, filterNames, isFilterName, type FilterName, type FilterSurroundings } from "./filters.ts";

/** What a template may speak of; `item` is there only in a step with `each`. */
export const roots = ["user", "results", "refusals", "item"] as const;
export type Roots = { readonly [root in (typeof roots)[number]]?: unknown };

export type Path = readonly string[];
interface Expression {
  readonly path: Path;
  readonly filters: readonly FilterName[];
}
/** Text and `{{ path | filter }}` in turn, compiled. */
export type Template = readonly (string | Expression)[];

/** Splits at `{{` and `}}`; anything between them that is not a path with known filters is an error. */
export function compileTemplate(text: string): Result<Template, string> {
  if (text.length > limits.rehearsal.templateCharsMax)
    return err(`longer than ${limits.rehearsal.templateCharsMax} characters`);
  const parts: (string | Expression)[] = [];
  const [first = "", ...rest] = text.split("{{");
  if (first !== "") parts.push(first);
  for (const piece of rest) {
    const end = piece.indexOf("}}");
    if (end < 0) return err("`{{` without `}}`");
    const expression = compileExpression(piece.slice(0, end));
    if (!expression.ok) return expression;
    parts.push(expression.value);
    if (end + 2 < piece.length) parts.push(piece.slice(end + 2));
  }
  return ok(parts);
}

function compileExpression(text: string): Result<Expression, string> {
  const [pathText = "", ...names] = text.split("|").map((part) => part.trim());
  const path = compilePath(pathText);
  if (!path.ok) return path;
  const filters: FilterName[] = [];
  for (const name of names) {
    if (!isFilterName(name)) return err(`unknown filter \`${name}\`; there are ${filterNames.join(", ")}`);
    filters.push(name);
  }
  return ok({ path: path.value, filters });
}

/** `results.files_list.0.files`: names and positions joined by dots, starting with a known root. */
export function compilePath(text: string): Result<Path, string> {
  const path = text.split(".");
  const [root = ""] = path;
  if (!path.every((segment) => /^[A-Za-z0-9_-]{1,64}$/.test(segment)))
    return err(`\`${text}\` is not a path of names joined by dots`);
  if (!(roots as readonly string[]).includes(root))
    return err(`unknown name \`${root}\`; a path starts with ${roots.join(", ")}`);
  return ok(path);
}

export const usesItem = (template: Template): boolean =>
  template.some((part) => typeof part !== "string" && part.path[0] === "item");

/** A name on a list is looked up in each of its items; a position picks one. What is not there is undefined. */
export function lookUp(path: Path, from: unknown): unknown {
  let value = from;
  for (const segment of path) {
    if (Array.isArray(value))
      value = /^\d+$/.test(segment) ? value[Number(segment)] : value.flatMap((item) => own(item, segment) ?? []);
    else value = own(value, segment);
  }
  return value;
}

const own = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;

/** A template that is one expression gives the value itself, any other a text. */
export function render(template: Template, from: Roots, surroundings: FilterSurroundings): unknown {
  const values = template.map((part) =>
    typeof part === "string"
      ? part
      : part.filters.reduce<unknown>((value, name) => applyFilter(name, value, surroundings), lookUp(part.path, from)),
  );
  return values.length === 1 ? values[0] : values.map(asText).join("");
}
