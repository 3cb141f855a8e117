import { limits } from "../../../protocol/limits.ts";
import type { TraceSpan } from "../../../protocol/run.ts";
import type { Store } from "../../store/store.ts";
import type { WorkflowCallRow, WorkflowRunRow } from "../../store/tables/workflow.ts";
import type { Entry } from "./event.ts";
import { readJournal } from "./journal.ts";

/** The waterfall of a run: each attempt, below it the calls that agents made for it, and the runs that it began. */
export function traceOf(store: Pick<Store, "query">, root: WorkflowRunRow): TraceSpan[] {
  const spans: TraceSpan[] = [];
  const originMs = root.createdAtMs;
  const add = (span: TraceSpan): void => void (spans.length < limits.workflow.traceSpansMax && spans.push(span));
  const visit = (run: string, depth: number): void => {
    if (depth > 2 * limits.workflow.nestingDepthMax + 1) return;
    const calls = Map.groupBy(store.query.workflow.calls(run, limits.workflow.traceSpansMax), placeOf);
    const children = Map.groupBy(
      store.query.workflow.children(run, limits.workflow.traceSpansMax),
      ({ parentTask }) => parentTask ?? "",
    );
    for (const { step, startMs, endMs, end } of attemptsOf(readJournal(store, run))) {
      const own = { run, task: step.task, attempt: step.attempt };
      const start = { startMs: startMs - originMs, endMs: endMs === null ? null : endMs - originMs };
      add({ ...own, kind: "step", name: step.task, depth, ...start, end, tokens: 0, microUsd: 0 });
      for (const call of calls.get(placeOf(step)) ?? []) add(ofCall(run, call, depth + 1, originMs, endMs));
      for (const child of children.get(placeOf(step)) ?? []) visit(child.id, depth + 1);
    }
  };
  visit(root.id, 0);
  return spans;
}

const placeOf = ({ task, attempt }: { readonly task: string; readonly attempt: number }): string =>
  `${task}/${attempt}`;

function ofCall(
  run: string,
  call: WorkflowCallRow,
  depth: number,
  originMs: number,
  stepEndMs: number | null,
): TraceSpan {
  const { task, attempt, kind, name, outcome, tokens, microUsd } = call;
  // The mesh was killed in between: its hold was charged in full, and the call ended with its step at the latest.
  const broken = call.endedAtMs === null && stepEndMs !== null;
  const endMs = call.endedAtMs ?? stepEndMs;
  const times = { startMs: call.begunAtMs - originMs, endMs: endMs === null ? null : endMs - originMs };
  const end = broken ? "broken off" : kind === "tool" ? "done" : outcome === "" ? "running" : outcome;
  return { run, task, attempt, kind, name, depth, ...times, end, tokens, microUsd };
}

interface Attempt {
  readonly step: { readonly task: string; readonly attempt: number };
  readonly startMs: number;
  endMs: number | null;
  end: string;
}

/** Each attempt in order of start; times are absolute. */
function attemptsOf(journal: readonly Entry[]): readonly Attempt[] {
  const attempts: Attempt[] = [];
  const open = new Map<string, Attempt>();
  for (const { atMs, event } of journal) {
    if (event.kind === "step.started") {
      const { task, attempt } = event;
      const begun = { step: { task, attempt }, startMs: atMs, endMs: null, end: "running" };
      attempts.push(begun);
      open.set(task, begun);
    } else if ("task" in event) {
      const begun = open.get(event.task);
      open.delete(event.task);
      if (begun) Object.assign(begun, { endMs: atMs, end: endOf(event) });
      else if (event.kind === "step.skipped")
        attempts.push({ step: { task: event.task, attempt: 0 }, startMs: atMs, endMs: atMs, end: endOf(event) });
    }
  }
  return attempts;
}

function endOf(event: Extract<Entry["event"], { readonly task: string }>): string {
  if (event.kind === "approval.given") return event.approved ? "approved" : "denied";
  if (event.kind === "step.skipped") return `skipped: ${event.why}`;
  if (event.kind === "step.failed" || event.kind === "step.broken") return `${event.code}: ${event.reason}`;
  return event.kind === "step.cancelled" ? "cancelled" : "succeeded";
}
