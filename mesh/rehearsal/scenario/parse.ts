import type { z } from "zod";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { Source, type Fault } from "../../config/source.ts";
import { ScenarioForm } from "./form.ts";
import type { Scenario } from "./scenario.ts";

/** All faults at once, each with its line, column and remedy; never a scenario that was understood in part. */
export function parseScenario(text: string): Result<Scenario, readonly Fault[]> {
  if (Buffer.byteLength(text) > limits.rehearsal.scenarioBytesMax) {
    const message = `the scenario is larger than ${limits.rehearsal.scenarioBytesMax} bytes`;
    return err([{ line: 1, column: 1, message, fix: "split it into several scenarios" }]);
  }
  const source = new Source(text);
  if (source.faults.length > 0) return err(source.faults);
  const parsed = ScenarioForm.safeParse(source.value);
  if (parsed.success) return ok(parsed.data);
  return err(parsed.error.issues.flatMap((issue) => faultsOf(source, issue)));
}

function faultsOf(source: Source, issue: z.core.$ZodIssue, above: readonly PropertyKey[] = []): Fault[] {
  if (issue.code === "invalid_union") {
    // The alternative that takes this kind of value is the one whose complaint helps.
    const closest = issue.errors.find(
      (branch) => branch.length > 0 && !branch.some((inner) => inner.path.length === 0 && inner.code !== "custom"),
    );
    if (closest) return closest.flatMap((inner) => faultsOf(source, inner, [...above, ...issue.path]));
  }
  return describe(source, issue, [...above, ...issue.path]);
}

function describe(source: Source, issue: z.core.$ZodIssue, path: readonly PropertyKey[]): Fault[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) =>
      source.at(path, `unknown key \`${key}\``, "remove it, or correct its spelling", key),
    );
  }
  const where = path.length > 0 ? `\`${path.join(".")}\`: ` : "";
  const message = `${where}${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
  return [source.at(path, message, "see the scenario format in mesh/rehearsal/scenario/form.ts")];
}

/** `FILE:LINE:COLUMN: message: fix`, one line a fault. */
export const describeFaults = (faults: readonly Fault[], file: string): string =>
  faults.map((fault) => `${file}:${fault.line}:${fault.column}: ${fault.message}: ${fault.fix}`).join("\n");
