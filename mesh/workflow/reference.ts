import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { Reference } from "./definition.ts";

/**
 * The inside of `${{ … }}`: names joined by `.`, or list positions as numbers. `input.a`, `steps.ID.output.a.0`,
 * `run.id`, and inside a map its item by name (`items` are the names known there).
 */
export function parseReference(text: string, items: readonly string[]): Result<Reference, string> {
  if (text.length > limits.workflow.referenceCharsMax) return err("the reference is too long");
  const [root = "", ...rest] = text.split(".");
  const badName = [root, ...rest].find((name) => !isName(name));
  if (badName !== undefined) return err(`\`${text}\` is not a reference: \`${badName}\` is not a name`);
  if (root === "input") return ok({ root: "input", name: "", path: rest });
  if (root === "run")
    return rest.length === 1 && rest[0] === "id"
      ? ok({ root: "run", name: "", path: rest })
      : err(`\`${text}\` is not known: of a run only \`run.id\` is`);
  if (root === "steps") {
    const [id = "", field, ...path] = rest;
    return field === "output"
      ? ok({ root: "step", name: id, path })
      : err(`\`${text}\` is not a reference to an output: write \`steps.${id || "ID"}.output\``);
  }
  if (items.includes(root)) return ok({ root: "item", name: root, path: rest });
  const known = ["input", "steps", "run", ...items].map((name) => `\`${name}\``).join(", ");
  return err(`\`${text}\` starts with none of ${known}`);
}

/** As it is written in the file. */
export function showReference({ root, name, path }: Reference): string {
  const head = root === "step" ? ["steps", name, "output"] : root === "item" ? [name] : [root];
  return [...head, ...path].join(".");
}

const isName = (text: string): boolean => /^(?:[A-Za-z_][A-Za-z0-9_-]*|[0-9]{1,6})$/.test(text) && text !== "__proto__";
