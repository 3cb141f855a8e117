import { basename, dirname, join } from "node:path";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { readRegular } from "../config/read-file.ts";
import type { Finding } from "./definition.ts";
import { parseWorkflow, type Compiled, type LoadFile } from "./parse.ts";
import { secretsIn } from "./plan-secrets.ts";

/** Reads a workflow file and those that it runs; findings name files as the user did. Secrets are looked for in each. */
export function loadWorkflow(file: string): Result<Compiled, readonly Finding[]> {
  const secrets: Finding[] = [];
  const read = (path: string): Result<string, string> => {
    const text = readText(path);
    if (text.ok)
      secrets.push(
        ...secretsIn(text.value).map((fault) => ({ severity: "error", rule: "secret", file: path, ...fault }) as const),
      );
    return text;
  };
  const load: LoadFile = (path, from) => {
    const child = join(dirname(from), path);
    const text = read(child);
    return text.ok ? ok({ file: child, text: text.value }) : text;
  };
  const text = read(file);
  if (!text.ok) {
    const fix = "name a workflow file, for example `examples/workflows/press-review/press-review.yaml`";
    return err([{ severity: "error", rule: "form", file, line: 1, column: 1, message: text.error, fix }]);
  }
  const compiled = parseWorkflow(text.value, file, load);
  if (!compiled.ok) return err([...compiled.error, ...secrets]);
  for (const secret of secrets) placesOf(compiled.value, secret.file)?.add("error", "secret", secret);
  return compiled;
}

function placesOf(compiled: Compiled, file: string): Compiled["places"] | undefined {
  if (compiled.places.file === file) return compiled.places;
  for (const child of compiled.children.values()) {
    const found = placesOf(child, file);
    if (found) return found;
  }
  return undefined;
}

function readText(path: string): Result<string, string> {
  const read = readRegular(path, limits.workflow.fileBytesMax);
  if (read.ok) return ok(read.value.toString("utf8"));
  if (read.error === "too large")
    return err(`\`${basename(path)}\` is larger than ${limits.workflow.fileBytesMax} bytes`);
  return err(`\`${path}\` cannot be read: ${read.error}`);
}
