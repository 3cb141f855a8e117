import { printableLine } from "../../lib/text.ts";
import { formatDuration } from "../../lib/units.ts";
import type { RunApproval, RunDetail, RunSummary } from "../../protocol/run.ts";
import { tint, type Line, type Tone } from "./line.ts";
import type { Terminal } from "./terminal.ts";

const tones: Readonly<Record<string, Tone>> = {
  succeeded: "good",
  failed: "bad",
  cancelled: "warn",
  paused: "warn",
  held: "warn",
  backoff: "warn",
  running: "accent",
};
export const toneOf = (phase: string): Tone => tones[phase] ?? "faint";

export const isOver = (run: Pick<RunSummary, "finishedAtMs">): boolean => run.finishedAtMs !== null;

export function statusLine(run: RunSummary): Line {
  const tookMs = run.finishedAtMs === null ? undefined : run.finishedAtMs - run.createdAtMs;
  return [
    `${run.id} `,
    tint(toneOf(run.status), run.status),
    tookMs === undefined ? "" : ` in ${formatDuration(tookMs)}`,
    run.reason === "" ? "" : `: ${printableLine(run.reason)}`,
  ];
}

/** What a person is asked, with the command that answers exactly this. */
export function showApproval(terminal: Terminal, { run, task, hash, action, expiresAtMs }: RunApproval): void {
  terminal.print([tint("warn", "asks "), `${task}: `, JSON.stringify(action)]);
  const until = new Date(expiresAtMs).toISOString();
  terminal.print(
    tint("faint", `  until ${until}: cordon runs approve ${run} ${task} ${hash.slice(0, 12)}   (or deny)`),
  );
}

export function showRun(terminal: Terminal, run: RunDetail): void {
  terminal.print([tint("strong", run.workflow), ` ${run.id}, plan ${run.plan.slice(0, 12)}, by ${run.starter}`]);
  terminal.table(
    ["STEP", "STATE", "ATTEMPT", "OUTPUT OR REASON"],
    run.tasks.map(({ task, phase, attempt, reason, output }) => [
      task,
      tint(toneOf(phase), phase),
      attempt,
      reason !== "" ? reason : output === null ? "" : JSON.stringify(output).slice(0, 200),
    ]),
  );
  for (const approval of run.approvals) showApproval(terminal, approval);
  terminal.print(statusLine(run));
  if (run.status === "succeeded") terminal.print(JSON.stringify(run.output));
}
