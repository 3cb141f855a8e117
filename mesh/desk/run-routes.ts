import { err, ok, type Result } from "../../lib/result.ts";
import {
  AnswerInput,
  ResumeInput,
  RetryInput,
  RunInput,
  type ReplayVerdict,
  type RunDetail,
  type RunSummary,
  type RunTrace,
} from "../../protocol/run.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { defaultTenant } from "../store/statements.ts";
import type { WorkflowRunRow } from "../store/tables/workflow.ts";
import { openApprovals } from "../workflow/engine/approval.ts";
import type { WorkflowEngine } from "../workflow/engine/engine.ts";
import { readJournal, readPlan, readRun } from "../workflow/engine/journal.ts";
import { replay } from "../workflow/engine/replay.ts";
import { traceOf } from "../workflow/engine/trace.ts";
import { language } from "../workflow/engine/workflow-language.ts";
import { parse, type Answer, type DeskRequest, type Handler } from "./request.ts";
import { operator, type DeskServices } from "./services.ts";

/** Workflows as the desk sees them. */
export interface DeskRuns {
  readonly engine: Pick<WorkflowEngine, "pause" | "resume" | "cancel" | "retry" | "answer">;
  start(input: RunInput): Promise<Result<{ readonly run: string; readonly plan: string }, Refusal>>;
}

export const runRoutes: Readonly<Record<string, Handler>> = {
  "POST /v1/runs": async ({ runs }, { body }) => {
    const input = parse(RunInput, body);
    return input.ok ? runs.start(input.value) : input;
  },
  "GET /v1/runs": ({ store }, { query }) => {
    const before = /^\d{1,15}$/.test(query.get("before") ?? "") ? Number(query.get("before")) : Number.MAX_SAFE_INTEGER;
    const rows = store.query.workflow.newest(defaultTenant, before, limits.workflow.runsListMax);
    return ok({ runs: rows.map(summaryOf) });
  },
  "GET /v1/runs/*": (services, request) => withRun(services, request, (row) => detailOf(services, row)),
  "GET /v1/runs/*/replay": (services, request) => withRun(services, request, (row) => ok(verdictOf(services, row))),
  "GET /v1/runs/*/trace": (services, request) =>
    withRun(services, request, (row) =>
      ok({ run: summaryOf(row), spans: traceOf(services.store, row) } satisfies RunTrace),
    ),
  "GET /v1/runs/*/journal": (services, request) =>
    withRun(services, request, (row) => {
      const plan = readPlan(services.store, row.plan);
      return plan.ok
        ? ok({ plan: plan.value, entries: readJournal(services.store, row.id) })
        : err(broken(row, plan.error));
    }),
  "POST /v1/runs/*/pause": ({ runs }, { name }) => runs.engine.pause(name, operator),
  "POST /v1/runs/*/resume": ({ runs }, { name, body }) => {
    const input = parse(ResumeInput, body);
    if (!input.ok) return input;
    const { tokens = 0, microUsd = 0 } = input.value;
    return runs.engine.resume(name, operator, tokens + microUsd > 0 ? { tokens, microUsd } : undefined);
  },
  "POST /v1/runs/*/cancel": ({ runs }, { name }) => runs.engine.cancel(name, operator),
  "POST /v1/runs/*/retry": ({ runs }, { name, body }) => {
    const input = parse(RetryInput, body);
    return input.ok ? runs.engine.retry(name, input.value.from, operator) : input;
  },
  "POST /v1/runs/*/answer": ({ runs }, { name, body }) => {
    const input = parse(AnswerInput, body);
    // Until people have accounts, the holder of the token owns the fleet, and so has every role.
    return input.ok ? runs.engine.answer(name, input.value, { name: operator, has: () => true }) : input;
  },
};

function withRun({ store }: DeskServices, { name }: DeskRequest, then: (row: WorkflowRunRow) => Answer): Answer {
  const row = store.query.workflow.run(defaultTenant, name);
  return row ? then(row) : err(refusal("not_found", `no run \`${name.slice(0, 64)}\``, "see `cordon runs`"));
}

function detailOf({ store }: DeskServices, found: WorkflowRunRow): Answer {
  let row = found;
  let stored = readRun(store, row);
  // A commit between the two reads must not show an open run with the journal of one that has ended.
  for (let now = rowOf(store, row); now.finishedAtMs !== row.finishedAtMs; now = rowOf(store, row)) {
    row = now;
    stored = readRun(store, row);
  }
  if (!stored.ok) return err(broken(row, stored.error));
  const { workflow, state } = stored.value;
  const tasks = [...state.tasks].map(([task, { phase, attempt, reason, output }]) => ({
    task,
    phase,
    attempt,
    reason,
    output,
  }));
  const { seq, output } = state;
  return ok({ ...summaryOf(row), seq, output, tasks, approvals: openApprovals(workflow, state) } satisfies RunDetail);
}

const rowOf = (store: DeskServices["store"], row: WorkflowRunRow): WorkflowRunRow =>
  store.query.workflow.run(defaultTenant, row.id) ?? row;

function verdictOf({ store }: DeskServices, row: WorkflowRunRow): ReplayVerdict {
  const plan = readPlan(store, row.plan);
  if (!plan.ok) return { ok: false, events: 0, badSeq: 0, fault: plan.error };
  return replay(plan.value, readJournal(store, row.id), language);
}

function summaryOf(row: WorkflowRunRow): RunSummary {
  const { parentTask: _, ...summary } = row;
  return summary;
}

const broken = (row: WorkflowRunRow, fault: string): Refusal =>
  refusal("conflict", `\`${row.id}\` cannot be read: ${fault}`, "look at `cordon audit verify`");
