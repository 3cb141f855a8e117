import { z } from "zod";
import { toolNames } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { BoardGlob, Name } from "../../protocol/names.ts";
import { Count, Duration, Usd } from "../config/fields.ts";

/** The form of a workflow file. Every object is strict: a key that is not understood is an error. `docs/workflow.schema.json` is made from it. */

const workflow = limits.workflow;

/** Letters, digits and `_`, so that CEL and references read `steps.ID` alike. */
export const StepId = z
  .string()
  .max(limits.name.charsMax)
  .regex(/^[a-z][a-z0-9_]*$/, "must be lower-case letters, digits and `_`, starting with a letter");

/** Constants and `${{ … }}` at any depth; checked by the reader. */
const Value = z.unknown().describe("a value in which texts may hold ${{ input.… }}, ${{ steps.ID.output.… }}");
const Template = z.string().min(1).max(workflow.expressionCharsMax);
const Schema = z.record(z.string(), z.unknown()).describe("JSON Schema (draft 2020-12), without $ref to other files");
const Tool = z.enum(toolNames as [(typeof toolNames)[number], ...typeof toolNames]);
const Timeout = Duration.refine((ms) => ms >= 1 && ms <= workflow.timeoutMsMax, "must be between `1ms` and `365d`");
const Priority = z.int().min(-100).max(100);
const JoinForm = z.union([z.enum(["all", "any"]), z.strictObject({ n_of: z.int().min(1).max(workflow.mapItemsMax) })]);

const Budget = z.strictObject({
  tokens: Count.optional(),
  usd: Usd.optional(),
  on_budget: z.enum(["pause", "skip", "fail"]).optional().describe("what happens when it is used up; default: fail"),
});

const Retry = z.strictObject({
  attempts: z.int().min(1).max(workflow.attemptsMax).describe("the first one included"),
  backoff: Duration.optional(),
  backoff_max: Duration.optional(),
  jitter: z.number().min(0).max(1).optional(),
});

const May = z.strictObject({
  tools: z.array(Tool).max(100).optional(),
  blackboard: z
    .strictObject({ read: z.array(BoardGlob).max(100).optional(), write: z.array(BoardGlob).max(100).optional() })
    .optional(),
  message: z.array(Name).max(1_000).optional(),
  topics: z
    .strictObject({
      publish: z.array(BoardGlob).max(100).optional(),
      subscribe: z.array(BoardGlob).max(100).optional(),
    })
    .optional(),
  reach: z
    .array(z.string().min(1).max(limits.web.ruleCharsMax))
    .max(100)
    .optional()
    .describe("lines as in `may.reach` of the fleet file, each within one of the agent's"),
  databases: z.array(Name).max(100).optional().describe("names of the agent's databases"),
});

/** What a step and the inside of a map have alike. Exactly one of the kinds must be there. */
const task = {
  agent: Name.optional().describe("kind: an agent of the fleet works on `task`"),
  task: Template.optional(),
  tool: Tool.optional().describe("kind: a tool is called with `with`, with the rights of the agent `as`"),
  as: Name.optional(),
  workflow: z.string().min(1).max(512).optional().describe("kind: another workflow file runs with `with` as input"),
  with: Value.optional(),
  input: Schema.optional(),
  output: Schema.optional(),
  retry: Retry.optional(),
  timeout: Timeout.optional(),
  budget: Budget.optional(),
  may: May.optional().describe("all that the work may do, within the agent's own `may`; nothing when absent"),
  accepts: z.enum(["trusted", "untrusted"]).optional(),
};

const Task = z.strictObject(task);

const Approve = z.strictObject({
  ask: Template,
  roles: z.array(Name).min(1).max(32),
  expires: Timeout,
});

const MapForm = z.strictObject({
  over: Value,
  as: StepId.optional(),
  join: JoinForm.optional(),
  concurrency: z.int().min(1).max(workflow.mapItemsMax).optional(),
  items_max: z.int().min(1).max(workflow.mapItemsMax).optional(),
  each: Task,
});

const Wait = z.strictObject({
  for: Timeout.optional(),
  until: Template.optional().describe("RFC 3339 date and time"),
  board: Template.optional().describe("a blackboard key, read with the rights of the agent `as`"),
  version: z.int().min(1).optional(),
  topic: Template.optional().describe("a message on this topic, read with the rights of the agent `as`"),
  after: Value.optional().describe("above this position; default: what comes after the step has begun"),
  from: Name.optional().describe("of this agent only"),
});

const StepForm = z.strictObject({
  ...task,
  approve: Approve.optional().describe("kind: a person says yes or no"),
  map: MapForm.optional().describe("kind: the same work for each item of a list"),
  wait: Wait.optional().describe("kind: time passes, or something appears"),
  needs: z.array(StepId).max(workflow.needsMax).optional(),
  join: z.union([JoinForm, z.literal("settled")]).optional(),
  when: z.string().min(1).max(workflow.conditionCharsMax).optional().describe("CEL"),
  on_error: z.enum(["fail", "skip", "fallback", "compensate"]).optional(),
  fallback: StepId.optional(),
  compensate: StepId.optional(),
  priority: Priority.optional(),
});

export const WorkflowForm = z.strictObject({
  workflow: z.literal(1).describe("version of this form"),
  name: Name,
  about: z.string().max(4_000).optional(),
  started_by: z
    .array(z.enum(["person", "schedule", "webhook"]))
    .min(1)
    .max(3)
    .optional(),
  input: Schema.optional(),
  output: Schema.optional(),
  result: Value.optional(),
  budget: Budget.optional(),
  timeout: Timeout.optional(),
  concurrency: z.strictObject({ key: Template, limit: z.int().min(1).max(1_000).optional() }).optional(),
  priority: Priority.optional(),
  steps: z.record(StepId, StepForm).refine((steps) => {
    const count = Object.keys(steps).length;
    return count > 0 && count <= workflow.stepsMax;
  }, `must have 1 to ${workflow.stepsMax} steps`),
});

export type WorkflowForm = z.infer<typeof WorkflowForm>;
export type StepForm = z.infer<typeof StepForm>;
export type TaskForm = z.infer<typeof Task>;
export type MapForm = z.infer<typeof MapForm>;
export type JoinForm = z.infer<typeof JoinForm>;
export type BudgetForm = z.infer<typeof Budget>;
export type MayForm = z.infer<typeof May>;

/** Every key of the form, for "did you mean". */
export const formKeys: readonly string[] = [
  ...new Set(
    [WorkflowForm, StepForm, MapForm, Approve, Wait, May, Retry, Budget].flatMap((form) => Object.keys(form.shape)),
  ),
];
