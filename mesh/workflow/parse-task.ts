import { limits } from "../../protocol/limits.ts";
import type { Path } from "../config/source.ts";
import { parseCondition } from "./condition.ts";
import type {
  Condition,
  Expression,
  Join,
  JsonSchema,
  Narrowing,
  OnError,
  Step,
  StepBudget,
  Task,
  Work,
  Workflow,
} from "./definition.ts";
import type { BudgetForm, JoinForm, MapForm, MayForm, StepForm, TaskForm } from "./form.ts";
import { parseExpression } from "./parse-expression.ts";
import { kindOf, strayKeys } from "./parse-kind.ts";
import type { Places } from "./places.ts";
import { compileSchema } from "./schema.ts";
import { boardTargets } from "./tool-target.ts";

const nothing: Expression = { kind: "constant", value: null };
const noObject: Expression = { kind: "constant", value: {} };

/** Turns one step's form into what is executed; what is wrong becomes a finding and a harmless stand-in. */
export class TaskReader {
  readonly #places: Places;
  readonly #child: (id: string, path: string) => Workflow | undefined;

  constructor(places: Places, child: (id: string, path: string) => Workflow | undefined) {
    this.#places = places;
    this.#child = child;
  }

  step(id: string, form: StepForm): Step {
    const at: Path = ["steps", id];
    return {
      id,
      ...this.#task(at, id, form, []),
      needs: [...new Set(form.needs ?? [])],
      join: form.join === "settled" ? { kind: "settled" } : joinOf(form.join),
      when: form.when === undefined ? null : this.#condition([...at, "when"], form.when),
      onError: this.#onError(at, form),
      compensate: form.compensate ?? null,
      standby: null,
      priority: form.priority ?? 0,
    };
  }

  #task(at: Path, id: string, form: StepForm & TaskForm, items: readonly string[]): Task {
    const kind = kindOf(form);
    if (kind.ok) {
      for (const { key, message, fix } of strayKeys(kind.value, form))
        this.#places.error("form", at, message, fix, key);
    } else
      this.#places.error(
        "kind",
        at,
        kind.error,
        "give the step exactly one of `agent`, `tool`, `approve`, `map`, `workflow`, `wait`",
      );
    const given = this.expression([...at, "with"], form.with ?? {}, items);
    const { workflow } = limits;
    return {
      work: kind.ok
        ? this.#work(at, id, kind.value, form, items)
        : { kind: "wait", until: { kind: "duration", ms: 0 } },
      with: given,
      input: this.schema([...at, "input"], form.input),
      output: this.schema([...at, "output"], form.output),
      retry: {
        attempts: form.retry?.attempts ?? 1,
        backoffMs: Math.min(form.retry?.backoff ?? workflow.backOffMsDefault, workflow.backOffMsMax),
        backoffMsMax: Math.min(form.retry?.backoff_max ?? workflow.backOffMsMax, workflow.backOffMsMax),
        jitter: form.retry?.jitter ?? 0.5,
      },
      timeoutMs: form.timeout ?? this.#timeoutOf(form),
      budget: budgetOf(form.budget, "fail"),
      may: narrowingOf(form.may, form.tool === undefined ? undefined : boardTargets(form.tool, given)),
      accepts: form.accepts ?? "trusted",
    };
  }

  /** An approval and a wait for a time have their own end, a map's and a workflow's parts have theirs. */
  #timeoutOf(form: StepForm): number {
    if (form.approve) return form.approve.expires;
    const open = form.map ?? form.workflow ?? form.wait;
    return open === undefined ? limits.workflow.stepTimeoutMsDefault : limits.workflow.timeoutMsMax;
  }

  #work(at: Path, id: string, kind: Work["kind"], form: StepForm & TaskForm, items: readonly string[]): Work {
    if (kind === "agent")
      return { kind, agent: form.agent ?? "", task: this.expression([...at, "task"], form.task ?? "", items) };
    if (kind === "tool") return { kind, tool: form.tool ?? "files.list", as: form.as ?? "" };
    if (kind === "workflow") {
      const child = this.#child(id, form.workflow ?? "");
      return child ? { kind, workflow: child } : { kind: "wait", until: { kind: "duration", ms: 0 } };
    }
    if (kind === "map" && form.map) return this.#map([...at, "map"], id, form.map);
    if (kind === "approve" && form.approve) {
      const { ask, roles, expires } = form.approve;
      return { kind, ask: this.expression([...at, "approve", "ask"], ask, items), roles, expiresMs: expires };
    }
    return { kind: "wait", until: this.#until([...at, "wait"], form) };
  }

  #map(at: Path, id: string, form: MapForm): Work {
    const as = form.as ?? "item";
    if (["input", "steps", "run"].includes(as))
      this.#places.error("form", [...at, "as"], `\`${as}\` is taken`, "choose another name for the item");
    return {
      kind: "map",
      over: this.expression([...at, "over"], form.over, []),
      as,
      join: joinOf(form.join),
      concurrency: form.concurrency ?? 1,
      itemsMax: form.items_max ?? limits.workflow.mapItemsDefault,
      each: this.#task([...at, "each"], id, form.each, [as]),
    };
  }

  #until(at: Path, form: StepForm): Extract<Work, { kind: "wait" }>["until"] {
    const wait = form.wait ?? {};
    const chosen = (["for", "until", "board", "topic"] as const).filter((key) => wait[key] !== undefined);
    if (chosen.length !== 1)
      this.#places.error("form", at, "a wait has one end", "give it exactly one of `for`, `until`, `board`, `topic`");
    if (wait.version !== undefined && wait.board === undefined)
      this.#places.error("form", at, "`version` belongs to `board`", "remove it", "version");
    if (wait.board !== undefined) {
      const key = this.expression([...at, "board"], wait.board, []);
      if (form.as === undefined)
        this.#places.error("form", at, "it is not said who reads the key", "add `as: AGENT` to the step");
      return { kind: "board", key, version: wait.version ?? 1, as: form.as ?? "" };
    }
    for (const key of ["after", "from"] as const) {
      if (wait[key] !== undefined && wait.topic === undefined)
        this.#places.error("form", at, `\`${key}\` belongs to \`topic\``, "remove it", key);
    }
    if (wait.topic !== undefined) {
      const topic = this.expression([...at, "topic"], wait.topic, []);
      if (form.as === undefined)
        this.#places.error("form", at, "it is not said who reads the topic", "add `as: AGENT` to the step");
      const after = wait.after === undefined ? null : this.expression([...at, "after"], wait.after, []);
      return { kind: "topic", topic, after, from: wait.from ?? null, as: form.as ?? "" };
    }
    if (form.as !== undefined)
      this.#places.error("form", at.slice(0, -1), "`as` belongs to a wait for `board` or `topic`", "remove it", "as");
    if (wait.until !== undefined) return { kind: "time", at: this.expression([...at, "until"], wait.until, []) };
    return { kind: "duration", ms: wait.for ?? 0 };
  }

  #onError(at: Path, form: StepForm): OnError {
    const kind = form.on_error ?? "fail";
    if (kind !== "fallback" && form.fallback !== undefined)
      this.#places.error("form", at, "`fallback` is never taken", "add `on_error: fallback`", "fallback");
    if (kind !== "fallback") return { kind };
    if (form.fallback === undefined)
      this.#places.error("form", [...at, "on_error"], "`fallback` names no step", "add `fallback: STEP`");
    return { kind, step: form.fallback ?? "" };
  }

  expression(at: Path, value: unknown, items: readonly string[]): Expression {
    const parsed = parseExpression(value, items);
    if (parsed.ok) return parsed.value;
    this.#places.error("reference", at, parsed.error, "write `${{ input.… }}` or `${{ steps.ID.output.… }}`");
    return at.at(-1) === "with" ? noObject : nothing;
  }

  schema(at: Path, value: unknown): JsonSchema | null {
    if (value === undefined) return null;
    const compiled = compileSchema(value);
    if (compiled.ok) return compiled.value;
    const { path, message } = compiled.error;
    this.#places.error(
      "schema",
      [...at, ...path],
      `\`${[...at, ...path].join(".")}\` ${message}`,
      "correct the schema",
    );
    return null;
  }

  #condition(at: Path, source: string): Condition | null {
    const parsed = parseCondition(source);
    if (parsed.ok) return parsed.value;
    this.#places.error("condition", at, parsed.error, "write CEL over `input` and `steps.ID.output`");
    return null;
  }
}

export const budgetOf = (form: BudgetForm | undefined, onBudget: StepBudget["onBudget"]): StepBudget => ({
  tokens: form?.tokens ?? null,
  microUsd: form?.usd ?? null,
  onBudget: form?.on_budget ?? onBudget,
});

function joinOf(form: JoinForm | undefined): Join {
  if (form === undefined || form === "all") return { kind: "all" };
  return form === "any" ? { kind: "any" } : { kind: "n", n: form.n_of };
}

/** A tool step is allowed what its arguments say, unless it is narrowed by hand. */
function narrowingOf(form: MayForm | undefined, implied: Partial<Narrowing> | undefined): Narrowing {
  const publish = form?.topics?.publish ?? implied?.topics?.publish ?? [];
  const subscribe = form?.topics?.subscribe ?? [];
  return {
    ...(publish.length + subscribe.length > 0 && { topics: { publish, subscribe } }),
    tools: form?.tools ?? implied?.tools ?? [],
    blackboard: {
      read: form?.blackboard?.read ?? implied?.blackboard?.read ?? [],
      write: form?.blackboard?.write ?? implied?.blackboard?.write ?? [],
    },
    message: form?.message ?? implied?.message ?? [],
    reach: form?.reach ?? [],
    ...(form?.databases && form.databases.length > 0 && { databases: form.databases }),
  };
}
