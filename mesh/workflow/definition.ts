import type { Json } from "../../lib/json.ts";
import type { ToolName } from "../../protocol/door.ts";

/**
 * A compiled workflow. Plain JSON through and through: it has no functions and no places in the file, so that it can be
 * stored with a run, hashed, and executed after a restart when the file is gone. `expression.ts` evaluates what is in it.
 */
export interface Workflow {
  readonly version: 1;
  readonly name: string;
  readonly about: string;
  /** Who may start a run; input from a webhook is untrusted. */
  readonly startedBy: readonly ("person" | "schedule" | "webhook")[];
  /** What a run is started with; `{ type: "object" }` without properties when the file says nothing. */
  readonly input: JsonSchema;
  /** What `result` must fit; null = anything. */
  readonly output: JsonSchema | null;
  /** The value that a finished run leaves; evaluated over all steps. */
  readonly result: Expression;
  /** In topological order: each one after all that it needs; standby steps after their owner. */
  readonly steps: readonly Step[];
  readonly budget: StepBudget;
  /** From the start of the run, pauses included. */
  readonly timeoutMs: number;
  /** Runs with the same value of `key` run `limit` at a time, in order of their start; null = no bound. */
  readonly concurrency: { readonly key: Expression; readonly limit: number } | null;
  /** -100..100; of what is ready at the same time the highest goes first. */
  readonly priority: number;
}

/** A place in the graph. */
export interface Step extends Task {
  readonly id: string;
  /** Ids of earlier steps. Data of no other step than these and what they need can be referred to. */
  readonly needs: readonly string[];
  /**
   * When the step is ready: `all` needs are done; one of them (`any`); `n` of them; or all have ended, done or skipped
   * (`settled`). When that cannot come true any more, the step is skipped. A step without needs is ready at once.
   */
  readonly join: Join | { readonly kind: "settled" };
  /** Over `input` and `steps.ID.output` (null for a step that is not done); false = the step is skipped. */
  readonly when: Condition | null;
  readonly onError: OnError;
  /** The standby step that undoes this one, when it is done and a later step asks for `compensate`. */
  readonly compensate: string | null;
  /**
   * Null: runs in its turn. Otherwise this step waits on the side and has no needs: a `fallback` runs when `owner` has
   * failed for good, and its output is the owner's; a `compensate` runs when the run is undone, newest owner first.
   */
  readonly standby: { readonly as: "fallback" | "compensate"; readonly owner: string } | null;
  readonly priority: number;
}

export type Join = { readonly kind: "all" } | { readonly kind: "any" } | { readonly kind: "n"; readonly n: number };

/** After the last attempt. `skip`: the output is null. `compensate`: all done steps are undone and the run has failed. */
export type OnError =
  | { readonly kind: "fail" }
  | { readonly kind: "skip" }
  | { readonly kind: "fallback"; readonly step: string }
  | { readonly kind: "compensate" };

/** What is tried, again and again if need be; a step of the graph or the inside of a map. */
export interface Task {
  readonly work: Work;
  /** Handed to the work; must fit `input` before the first attempt. */
  readonly with: Expression;
  readonly input: JsonSchema | null;
  /** What the work's result must fit, or the attempt has failed. Tools, approvals and waits have theirs by nature. */
  readonly output: JsonSchema | null;
  readonly retry: Retry;
  /** Of one attempt. */
  readonly timeoutMs: number;
  readonly budget: StepBudget;
  /** All that the work may do, within what the fleet file grants the agent. Empty = thinking only. */
  readonly may: Narrowing;
  /** What may reach an outward sink (`output.write`, …) of this step without an approval of exactly that value. */
  readonly accepts: "trusted" | "untrusted";
}

export type Work =
  /** `task` becomes a message to the agent, followed by `with` as JSON; the reply is the output, JSON when `output` is set. */
  | { readonly kind: "agent"; readonly agent: string; readonly task: Expression }
  /** The tool is called with `with` as arguments, with the rights of agent `as` narrowed to this one call. */
  | { readonly kind: "tool"; readonly tool: ToolName; readonly as: string }
  /** A person with one of `roles` says yes to exactly `ask` and `with`; no and silence until `expiresMs` fail the step. */
  | {
      readonly kind: "approve";
      readonly ask: Expression;
      readonly roles: readonly string[];
      readonly expiresMs: number;
    }
  /** `each` once for every item of the array `over`; output: their outputs in order, null where one is missing. */
  | {
      readonly kind: "map";
      readonly over: Expression;
      /** The name by which `each` refers to its item. */
      readonly as: string;
      readonly join: Join;
      readonly concurrency: number;
      /** A longer array fails the step. */
      readonly itemsMax: number;
      readonly each: Task;
    }
  /** A run of its own, whose input is `with` and whose result is the output. */
  | { readonly kind: "workflow"; readonly workflow: Workflow }
  | { readonly kind: "wait"; readonly until: WaitUntil };

export type WaitUntil =
  | { readonly kind: "duration"; readonly ms: number }
  /** RFC 3339 date and time; one in the past is over at once. */
  | { readonly kind: "time"; readonly at: Expression }
  /** Until the key has at least `version`; read with the rights of agent `as`. Output: `{ key, version, value }`. */
  | { readonly kind: "board"; readonly key: Expression; readonly version: number; readonly as: string }
  /**
   * Until a message stands on the topic above position `after`; null = above the newest one when the step begins. `from`:
   * of this agent only; null = of anyone. Read with the rights of agent `as`. Output: `{ topic, id, position, from, body }`.
   */
  | {
      readonly kind: "topic";
      readonly topic: Expression;
      readonly after: Expression | null;
      readonly from: string | null;
      readonly as: string;
    };

/** `attempts` 1 = no retry. Before attempt n+1: min(max, backoff × 2^(n-1)), less a random part of up to `jitter` (0..1). */
export interface Retry {
  readonly attempts: number;
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  readonly jitter: number;
}

/** Null = no cap of its own. Tokens are counts, money is micro-USD. */
export interface StepBudget {
  readonly tokens: number | null;
  readonly microUsd: number | null;
  /** What happens when it is used up. `pause`: the run waits for a person; `skip`: as `on_error: skip`. */
  readonly onBudget: "pause" | "skip" | "fail";
}

/** Same words as `may` of the fleet file. An action must be allowed here and there. */
export interface Narrowing {
  readonly tools: readonly ToolName[];
  readonly blackboard: { readonly read: readonly string[]; readonly write: readonly string[] };
  readonly message: readonly string[];
  /** Absent = none. */
  readonly topics?: { readonly publish: readonly string[]; readonly subscribe: readonly string[] };
  /** Lines as the fleet file has them. */
  readonly reach: readonly string[];
  /** Absent = none. */
  readonly databases?: readonly string[];
}

/** CEL (https://cel.dev) that gives a boolean. `references` are the data that it can see at all. */
export interface Condition {
  readonly source: string;
  readonly references: readonly Reference[];
}

/** A value with holes. `text` gives a string; `reference` keeps the type of what it refers to. */
export type Expression =
  | { readonly kind: "constant"; readonly value: Json }
  | { readonly kind: "reference"; readonly reference: Reference }
  | { readonly kind: "text"; readonly parts: readonly (string | Reference)[] }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "object"; readonly fields: readonly (readonly [name: string, value: Expression])[] };

/** `${{ steps.ID.output.a.0 }}`, `${{ input.a }}`, `${{ item.a }}` (or the map's own name for it), `${{ run.id }}`. */
export interface Reference {
  readonly root: "input" | "step" | "item" | "run";
  /** The step's id, or the item's name; empty for `input` and `run`. */
  readonly name: string;
  /** Below the input, output or item. */
  readonly path: readonly string[];
}

/** JSON Schema (draft 2020-12), the subset that `schema.ts` lets pass. */
export interface JsonSchema {
  readonly [keyword: string]: Json;
}

/** Everything that can happen in a run, found before it. `digest`: SHA-256 (hex) of the canonical JSON of all the rest but `findings`. */
export interface Plan {
  readonly version: 1;
  readonly digest: string;
  readonly fleet: string;
  readonly workflow: Workflow;
  /** SHA-256 of the canonical JSON of the input; null when the plan is for any input. */
  readonly inputDigest: string | null;
  readonly steps: readonly PlannedStep[];
  readonly worst: Worst;
  readonly findings: readonly Finding[];
}

export interface PlannedStep {
  /** Path of ids: `a`, or `a/b` for step `b` of the workflow that step `a` runs. The inside of a map counts to the map. */
  readonly id: string;
  readonly kind: Work["kind"];
  /** The agent that works or lends its rights. */
  readonly agent: string | null;
  /** Nothing else may happen in this step. */
  readonly actions: readonly PlannedAction[];
  /** Hosts that can be spoken to on behalf of this step, `provider/model` ids of models apart. */
  readonly destinations: readonly string[];
  readonly credentials: readonly string[];
  readonly worst: Worst;
}

/** One line of what is allowed. `target`: a model, agent, board or topic pattern, tool, line of `reach` or database; `rule`: the line of the fleet file that grants it. */
export interface PlannedAction {
  readonly verb:
    | "model.call"
    | "message.send"
    | "board.read"
    | "board.write"
    | "board.list"
    | "topic.publish"
    | "topic.subscribe"
    | "tool.call"
    | "web.request"
    | "database.connect";
  readonly target: string;
  readonly rule: string;
}

/** `calls`: model calls; `attempts`: how often the work can be begun; `microUsd` null = the price is not known. */
export interface Worst {
  readonly attempts: number;
  readonly calls: number;
  readonly tokens: number;
  readonly microUsd: number | null;
}

export interface Finding {
  readonly severity: "error" | "warning" | "note";
  /** One word for machines, for example `cycle`. */
  readonly rule: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly fix: string;
}
