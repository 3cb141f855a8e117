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
  return parseNested(text, file, {
    load,
    open: [file],
    nested: { count: 0, bytes: 0, faulty: new Set() },
    forms: new Map(),
  });
}

/** Where a file stands among those that are read with it. */
interface Nest {
  readonly load: LoadFile;
  /** The files that run this one, the first one first, and itself. */
  readonly open: readonly string[];
  /** Of all files but the first: a few that name each other often would be read for ever. */
  readonly nested: { count: number; bytes: number; readonly faulty: Set<string> };
  /** By its text: to read YAML costs more than all that follows. */
  readonly forms: Map<string, { readonly source: Source; readonly form: WorkflowForm }>;
}

function parseNested(text: string, file: string, nest: Nest): Result<Compiled, readonly Finding[]> {
  if (Buffer.byteLength(text) > limits.workflow.fileBytesMax) {
    const message = `larger than ${limits.workflow.fileBytesMax} bytes`;
    const fix = "split it, and run the parts by `workflow` steps";
    return err([{ severity: "error", rule: "form", file, line: 1, column: 1, message, fix }]);
  }
  const known = nest.forms.get(text);
  if (known) return new Reader(known.form, new Places(file, known.source), nest).compile();
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
  nest.forms.set(text, { source, form: parsed.data });
  return new Reader(parsed.data, places, nest).compile();
}

class Reader {
  readonly #form: WorkflowForm;
  readonly #places: Places;
  readonly #nest: Nest;
  readonly #children = new Map<string, Compiled>();
  readonly #foreign: Finding[] = [];

  constructor(form: WorkflowForm, places: Places, nest: Nest) {
    this.#form = form;
    this.#places = places;
    this.#nest = nest;
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
    const { load, open, nested } = this.#nest;
    const { nestedFilesMax, nestedBytesMax, nestingDepthMax } = limits.workflow;
    if (nested.count >= nestedFilesMax || nested.bytes > nestedBytesMax) {
      const message = `this file runs more than ${nestedFilesMax} workflows, or more than ${nestedBytesMax} bytes of them`;
      this.#places.error("workflow", at, message, "let a `map` run one of them for many items, or run fewer");
      return undefined;
    }
    const loaded = load(path, this.#places.file);
    if (!loaded.ok) {
      this.#places.error("workflow", at, loaded.error, "correct the path (it starts at this file's folder)");
      return undefined;
    }
    const { file, text } = loaded.value;
    // What is wrong with it was told when it was read first.
    if (nested.faulty.has(file)) return undefined;
    nested.count++;
    nested.bytes += Buffer.byteLength(text);
    if (open.includes(file)) {
      this.#places.error("cycle", at, `\`${path}\` runs itself`, "break the circle of workflows");
      return undefined;
    }
    if (open.length >= nestingDepthMax) {
      this.#places.error("workflow", at, `workflows nested deeper than ${nestingDepthMax}`, "flatten them");
      return undefined;
    }
    const child = parseNested(text, file, { ...this.#nest, open: [...open, file] });
    if (!child.ok) {
      nested.faulty.add(file);
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
