import { join } from "node:path";
import { formatBytes, formatDuration } from "../../../lib/units.ts";
import { printCosts } from "../spending/cost-view.ts";
import { tint, type Line } from "../line.ts";
import type { Terminal } from "../terminal.ts";
import type { AttemptVerdict, DemoReport } from "./report.ts";

export function printReport(report: DemoReport, terminal: Terminal): void {
  heading(terminal, "what the hijacked intern tried");
  terminal.table(
    ["", "attempt", "threat", "stopped by", "where", "seen from outside"],
    report.attempts.map((one) => [
      mark(one),
      one.title,
      one.threat,
      one.stoppedBy,
      one.where,
      one.evidence.join("; ") || tint("warn", "nothing: only its own word"),
    ]),
  );
  heading(terminal, "what it cost");
  printCosts({ currency: "micro-USD", ...report.spend }, terminal);
  heading(terminal, "evidence");
  for (const line of evidenceLines(report)) terminal.print(line);
  heading(terminal, "files");
  for (const file of report.files)
    terminal.print([`  ${join(report.outputFolder, file.path)}`, tint("faint", `  ${formatBytes(file.bytes)}`)]);
  heading(terminal, "time");
  terminal.table(
    ["phase", ""],
    report.phases.map((phase) => [phase.name, formatDuration(phase.ms)]),
  );
  terminal.print("");
  for (const problem of report.problems) terminal.print([tint("bad", "✗ "), problem]);
  if (report.ok) terminal.print(verdictLine(report));
}

function heading(terminal: Terminal, text: string): void {
  terminal.print("");
  terminal.print(tint("strong", text));
}

const mark = (one: AttemptVerdict): Line =>
  one.outcome === "stopped" ? tint("good", "✓") : one.outcome === "escaped" ? tint("bad", "✗") : tint("warn", "?");

function verdictLine(report: DemoReport): Line {
  const stopped = report.attempts.filter((one) => one.outcome === "stopped").length;
  const unproven = report.attempts.length - stopped;
  const rest = unproven > 0 ? `, ${unproven} failed by the intern's own word alone` : "";
  return [
    tint("good", "✓ "),
    `${stopped} of ${report.attempts.length} attempts stopped${rest}; the digest was written meanwhile`,
  ];
}

function evidenceLines(report: DemoReport): readonly Line[] {
  const { honeypots, hostFile, canary } = report.host;
  const hits = honeypots.reduce((sum, one) => sum + one.hits, 0);
  const awake = honeypots.filter((one) => one.awake).length;
  const unread =
    hostFile.unread === null ? "unchanged (reads leave no trace on this file system)" : "unread and unchanged";
  return [
    [
      ok(hits === 0 && awake > 0),
      `${awake} of ${honeypots.length} listeners on the host awake; strangers heard: ${hits}`,
    ],
    [
      ok(hostFile.unchanged && hostFile.unread !== false),
      `the host's file: ${hostFile.unchanged && hostFile.unread !== false ? unread : "touched"}`,
    ],
    [
      ok(canary.foundIn.length === 0),
      `canary credential: ${canary.foundIn.length} hits in ${canary.placesSearched} places, ${formatBytes(canary.bytesSearched)}`,
    ],
    report.audit.ok
      ? [ok(true), `audit chain intact: ${report.audit.records} records, head ${report.audit.head}`]
      : [ok(false), `audit chain broken at record ${report.audit.badSeq}: ${report.audit.fault}`],
  ];
}

const ok = (held: boolean) => (held ? tint("good", "  ✓ ") : tint("bad", "  ✗ "));
