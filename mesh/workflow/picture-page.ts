import { formatUsd } from "../../lib/units.ts";
import type { Finding, Plan, PlannedStep, Worst } from "./definition.ts";
import { isAllowed } from "./plan.ts";
import { describeTask } from "./picture.ts";
import { drawSvg, escapeHtml } from "./picture-svg.ts";

/** One page that needs nothing else: no script, no font, no request (its own policy forbids them). */
export function drawPage(plan: Plan): string {
  const { workflow } = plan;
  const marked = new Set(
    plan.findings.filter(({ severity }) => severity !== "note").flatMap(({ message }) => idsIn(message, plan)),
  );
  const verdict = isAllowed(plan)
    ? '<p class="verdict good">This plan may run.</p>'
    : '<p class="verdict bad">This plan may not run: see the findings.</p>';
  const about = workflow.about === "" ? "" : `<p>${escapeHtml(workflow.about)}</p>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plan of ${escapeHtml(workflow.name)}</title>
<style>${STYLE}</style></head><body><main>
<h1>${escapeHtml(workflow.name)}</h1>${about}
${verdict}
<dl><dt>Fleet</dt><dd>${escapeHtml(plan.fleet)}</dd><dt>Started by</dt><dd>${workflow.startedBy.join(", ")}</dd>
<dt>Worst case</dt><dd>${escapeHtml(showWorst(plan.worst))}</dd><dt>Digest</dt><dd><code>${plan.digest}</code></dd></dl>
<div class="picture">${drawSvg(workflow, marked)}</div>
${findingsTable(plan.findings)}
<h2>Steps</h2>
<div class="scroll"><table><thead><tr><th>Step</th><th>Work</th><th>Can do</th><th>Speaks to</th><th>Credentials</th><th>Worst case</th></tr></thead>
<tbody>${plan.steps.map((step) => stepRow(step, plan)).join("\n")}</tbody></table></div>
</main></body></html>
`;
}

/** Tokens and money at most. */
export const showWorst = ({ tokens, microUsd, calls }: Worst): string =>
  calls === 0
    ? "nothing"
    : `${tokens.toLocaleString("en")} tokens, ${microUsd === null ? "money without a bound" : formatUsd(microUsd)}`;

function stepRow(step: PlannedStep, plan: Plan): string {
  const task = plan.workflow.steps.find(({ id }) => id === step.id);
  const cells = [
    `<b>${escapeHtml(step.id)}</b>`,
    escapeHtml(task ? describeTask(task) : `${step.kind} ${step.agent ?? ""}`),
    step.actions
      .map(
        ({ verb, target, rule }) =>
          `<span title="${escapeHtml(rule)}">${verb} <code>${escapeHtml(target)}</code></span>`,
      )
      .join("<br>") || "nothing",
    escapeHtml(step.destinations.join(", ") || "nobody"),
    escapeHtml(step.credentials.join(", ") || "none"),
    escapeHtml(showWorst(step.worst)),
  ];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

function findingsTable(findings: readonly Finding[]): string {
  if (findings.length === 0) return "<h2>Findings</h2><p>None.</p>";
  const rows = findings.map(
    ({ severity, file, line, column, message, fix }) =>
      `<tr><td class="${severity}">${severity}</td><td><code>${escapeHtml(`${file}:${line}:${column}`)}</code></td><td>${escapeHtml(message)}<br><span class="fix">fix: ${escapeHtml(fix)}</span></td></tr>`,
  );
  return `<h2>Findings</h2><div class="scroll"><table><tbody>${rows.join("\n")}</tbody></table></div>`;
}

const idsIn = (message: string, { workflow }: Plan): string[] =>
  workflow.steps.map(({ id }) => id).filter((id) => message.includes(`\`${id}\``));

const STYLE = `
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5b6676;--paper:#fff;--card:#f5f7fa;--rule:#d5dbe3;--good:#13795b;--bad:#b3261e;--warn:#8a5a00;
--agent:#2f5fd0;--tool:#13795b;--approve:#b25e00;--map:#7a3fb5;--workflow:#0b7285;--wait:#5b6676}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--paper:#14181f;--card:#1d232c;--rule:#36404d;--good:#4cc79d;--bad:#ff7a70;--warn:#e6b04d;
--agent:#7da2ff;--tool:#4cc79d;--approve:#f0a04b;--map:#c08cf0;--workflow:#4fc3d9;--wait:#9aa6b5}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px}h1{margin:0 0 4px;font-size:28px}h2{font-size:19px;margin:32px 0 8px}
.verdict{font-weight:600}.good{color:var(--good)}.bad,.error{color:var(--bad)}.warning{color:var(--warn)}.note,.fix{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:12px 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.picture,.scroll{overflow-x:auto}.picture{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:8px;margin-top:16px}
svg{display:block;margin:0 auto}.step rect{fill:var(--paper);stroke:var(--kind);stroke-width:1.5}.step.marked rect{stroke:var(--bad);stroke-width:2.5}
.step.agent{--kind:var(--agent)}.step.tool{--kind:var(--tool)}.step.approve{--kind:var(--approve)}.step.map{--kind:var(--map)}.step.workflow{--kind:var(--workflow)}.step.wait{--kind:var(--wait)}
.aside rect,.line.aside{stroke-dasharray:5 4}text{fill:var(--ink);font:12px system-ui,sans-serif}.name{font-weight:600;font-size:14px}.what{fill:var(--kind)}.turn{fill:var(--soft);font-size:11px}
.line{fill:none;stroke:var(--soft);stroke-width:1.4}.tip{fill:var(--soft)}
table{border-collapse:collapse;width:100%}th{text-align:left;color:var(--soft);font-weight:500}td,th{padding:8px 12px 8px 0;border-bottom:1px solid var(--rule);vertical-align:top}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}`;
