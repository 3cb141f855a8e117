import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { FilePath } from "../../protocol/names.ts";
import { describe } from "../config/describe.ts";
import { FAULTS_MAX, Source } from "../config/source.ts";
import type { Finding, StepBudget, Workflow } from "./definition.ts";
import { formKeys, WorkflowForm } from "./form.ts";
import { orderSteps } from "./parse-graph.ts";
import { budgetOf, TaskReader } from "./parse-task.ts";
import { Places } from "./places.ts";

/** A workflow with what is needed to speak about it: its places, and the workflows that its steps run, by step id. */
export interface Compiled {
  readonly workflow: Workflow;
  readonly places: Places;
  readonly children: ReadonlyMap<string, Compiled>;
}

/** Reads another workflow file; `path` is as written in the file `from`. The error is a sentence. */
export type LoadFile = (path: string, from: string) => Result<{ readonly file: string; readonly text: string }, string>;

/** All findings at once, in file order; those of a file that it runs stand there under that file's name. Never throws. */
export function parseWorkflow(text: string, file: string, load: LoadFile): Result<Compiled, readonly Finding[]> {
  return parseNested(text, file, load, [file]);
}

function parseNested(
  text: string,
  file: string,
  load: LoadFile,
  open: readonly string[],
): Result<Compiled, readonly Finding[]> {
  if (Buffer.byteLength(text) > limits.workflow.fileBytesMax) {
    const message = `larger than ${limits.workflow.fileBytesMax} bytes`;
    const fix = "split it, and run the parts by `workflow` steps";
    return err([{ severity: "error", rule: "form", file, line: 1, column: 1, message, fix }]);
  }
  const source = new Source(text);
  const places = new Places(file, source);
  for (const fault of source.faults) places.add("error", "form", fault);
  if (places.findings.length > 0) return err(places.findings);
  const parsed = WorkflowForm.safeParse(source.value, { reportInput: true });
  if (!parsed.success) {
    for (const issue of parsed.error.issues.slice(0, FAULTS_MAX))
      for (const fault of describe(source, issue, formKeys)) places.add("error", "form", fault);
    return err(inOrder(places.findings));
  }
  return new Reader(parsed.data, places, load, open).compile();
}

class Reader {
  readonly #form: WorkflowForm;
  readonly #places: Places;
  readonly #load: LoadFile;
  readonly #open: readonly string[];
  readonly #children = new Map<string, Compiled>();
  readonly #foreign: Finding[] = [];

  constructor(form: WorkflowForm, places: Places, load: LoadFile, open: readonly string[]) {
    this.#form = form;
    this.#places = places;
    this.#load = load;
    this.#open = open;
  }

  compile(): Result<Compiled, readonly Finding[]> {
    const form = this.#form;
    const places = this.#places;
    const tasks = new TaskReader(places, (id, path) => this.#child(id, path));
    const steps = Object.entries(form.steps).map(([id, step]) => tasks.step(id, step));
    const result = tasks.expression(["result"], form.result ?? null, []);
    const workflow: Workflow = {
      version: 1,
      name: form.name,
      about: form.about ?? "",
      startedBy: [...new Set(form.started_by ?? (["person", "schedule"] as const))].sort(),
      input: tasks.schema(["input"], form.input) ?? { type: "object", properties: {}, additionalProperties: false },
      output: tasks.schema(["output"], form.output),
      result,
      steps: orderSteps({ form, steps, result, places }),
      budget: budgetOf(form.budget, RUN_ON_BUDGET),
      timeoutMs: form.timeout ?? limits.workflow.runTimeoutMsDefault,
      concurrency: form.concurrency
        ? {
            key: tasks.expression(["concurrency", "key"], form.concurrency.key, []),
            limit: form.concurrency.limit ?? 1,
          }
        : null,
      priority: form.priority ?? 0,
    };
    const findings = [...places.findings, ...this.#foreign];
    return findings.length > 0 ? err(inOrder(findings)) : ok({ workflow, places, children: this.#children });
  }

  #child(id: string, path: string): Workflow | undefined {
    const at = ["steps", id];
    if (!FilePath.safeParse(path).success) {
      this.#places.error(
        "workflow",
        at,
        `\`${path}\` is not a path below this file's folder`,
        "name a file beside this one",
        "workflow",
      );
      return undefined;
    }
    const loaded = this.#load(path, this.#places.file);
    if (!loaded.ok) {
      this.#places.error("workflow", at, loaded.error, "correct the path (it starts at this file's folder)");
      return undefined;
    }
    const { file, text } = loaded.value;
    if (this.#open.includes(file)) {
      this.#places.error("cycle", at, `\`${path}\` runs itself`, "break the circle of workflows");
      return undefined;
    }
    if (this.#open.length >= limits.workflow.nestingDepthMax) {
      this.#places.error(
        "workflow",
        at,
        `workflows nested deeper than ${limits.workflow.nestingDepthMax}`,
        "flatten them",
      );
      return undefined;
    }
    const child = parseNested(text, file, this.#load, [...this.#open, file]);
    if (!child.ok) {
      this.#foreign.push(...child.error);
      return undefined;
    }
    this.#children.set(id, child.value);
    return child.value.workflow;
  }
}

const RUN_ON_BUDGET: StepBudget["onBudget"] = "fail";

/** By file in order of appearance, then by place. */
function inOrder(findings: readonly Finding[]): readonly Finding[] {
  const files = [...new Set(findings.map(({ file }) => file))];
  return findings.toSorted(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  );
}
