import { assert } from "../../../lib/assert.ts";
import type { Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import type { Plan, Workflow } from "../definition.ts";
import { defaultTenant } from "../../store/statements.ts";
import type { Store, Write } from "../../store/store.ts";
import type { WorkflowRunRow } from "../../store/tables/workflow.ts";
import { advance, unborn } from "./advance.ts";
import type { Entry, RunEvent } from "./event.ts";
import { digestOfPlan } from "../plan-digest.ts";
import { workflowAt } from "./plan-check.ts";
import type { RunState } from "./state.ts";

const PAGE_ROWS = 1_000;

export const appendWrite = (run: string, { seq, atMs, event }: Entry): Write => [
  "workflow.append",
  run,
  seq,
  atMs,
  event.kind,
  JSON.stringify(event),
];

/** The row that is kept for lists, after `state` has changed. */
export const statusWrite = (state: RunState, finishedAtMs: number | null): Write => [
  "workflow.setStatus",
  state.status,
  state.reason.slice(0, REASON_CHARS_MAX),
  finishedAtMs,
  state.run,
];

/** The rows of a run that begins. `planIsThere`: the plan is on disk already, or on its way in this order. */
export const newRunWrites = (
  plan: Plan,
  planIsThere: boolean,
  run: { readonly id: string; readonly parent: string | null; readonly parentTask: string | null; readonly by: string },
  workflow: Workflow,
  nowMs: number,
): Write[] => [
  ...(planIsThere ? [] : [["workflow.putPlan", plan.digest, JSON.stringify(plan)] as const]),
  ["workflow.insertRun", run.id, defaultTenant, workflow.name, plan.digest, run.parent, run.parentTask, run.by, nowMs],
];

/** All events of a run, in order. */
export function readJournal(store: Pick<Store, "query">, run: string): Entry[] {
  const entries: Entry[] = [];
  for (;;) {
    const rows = store.query.workflow.events(run, entries.length, PAGE_ROWS);
    for (const { seq, atMs, data, kind } of rows) {
      const event = JSON.parse(data) as RunEvent;
      assert(event.kind === kind, "a journal row is of the kind that it says");
      entries.push({ seq, atMs, event });
    }
    if (rows.length < PAGE_ROWS) return entries;
  }
}

export interface StoredRun {
  readonly row: WorkflowRunRow;
  readonly plan: Plan;
  readonly workflow: Workflow;
  readonly state: RunState;
}

/** A run as its journal has it. The error says why it cannot go on: its plan is not the one that was agreed to. */
export function readRun(store: Pick<Store, "query">, row: WorkflowRunRow): Result<StoredRun, string> {
  const plan = readPlan(store, row.plan);
  if (!plan.ok) return plan;
  const entries = readJournal(store, row.id);
  const first = entries[0]?.event;
  if (first?.kind !== "run.started" || first.plan !== row.plan) return err("its journal begins with another plan");
  const workflow = workflowAt(plan.value, first.path);
  if (!workflow) return err(`its plan has no workflow at \`${first.path}\``);
  const state = entries.reduce((before, entry) => advance(workflow, before, entry), unborn);
  return ok({ row, plan: plan.value, workflow, state });
}

export function readPlan(store: Pick<Store, "query">, digest: string): Result<Plan, string> {
  const text = store.query.workflow.plan(digest);
  if (text === undefined) return err("its plan is missing");
  const plan = JSON.parse(text) as Plan;
  return digestOfPlan(plan) === digest ? ok(plan) : err("its plan does not have the digest that it was started with");
}

/** What a finished run left, from its last event. */
export function outcomeOf(store: Pick<Store, "query">, run: string) {
  const last = readJournal(store, run).at(-1)?.event;
  return last?.kind === "run.finished" ? last : undefined;
}

export const jsonBytes = (value: Json): number => Buffer.byteLength(JSON.stringify(value));
const REASON_CHARS_MAX = 400;
