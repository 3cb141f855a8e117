import type { Entry } from "./event.ts";

/** One bar of the waterfall. `endMs` null = still under way; times are milliseconds from the start of the run. */
export interface Span {
  readonly task: string;
  readonly attempt: number;
  readonly startMs: number;
  readonly endMs: number | null;
  readonly end: string;
}

/** One span for each attempt, in order of start. */
export function spansOf(journal: readonly Entry[]): Span[] {
  const spans: { task: string; attempt: number; startMs: number; endMs: number | null; end: string }[] = [];
  const open = new Map<string, (typeof spans)[number]>();
  const originMs = journal[0]?.atMs ?? 0;
  for (const { atMs, event } of journal) {
    if (event.kind === "step.started") {
      const { task, attempt } = event;
      const span = { task, attempt, startMs: atMs - originMs, endMs: null, end: "running" };
      spans.push(span);
      open.set(task, span);
    } else if ("task" in event) {
      const span = open.get(event.task);
      open.delete(event.task);
      const end = event.kind === "approval.given" ? (event.approved ? "approved" : "denied") : endOf(event);
      if (span) [span.endMs, span.end] = [atMs - originMs, end];
      else if (event.kind === "step.skipped")
        spans.push({ task: event.task, attempt: 0, startMs: atMs - originMs, endMs: atMs - originMs, end });
    }
  }
  return spans;
}

function endOf(event: Extract<Entry["event"], { readonly task: string }>): string {
  if (event.kind === "step.skipped") return `skipped: ${event.why}`;
  if (event.kind === "step.failed" || event.kind === "step.broken") return `${event.code}: ${event.reason}`;
  return event.kind === "step.cancelled" ? "cancelled" : "succeeded";
}
