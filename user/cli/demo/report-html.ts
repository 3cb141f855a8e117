import { formatBytes, formatDuration, formatUsd } from "../../../lib/units.ts";
import type { BudgetLine } from "../../../protocol/desk.ts";
import { amountOf } from "../spending/cost-view.ts";
import { digestHtml } from "./digest-html.ts";
import { Html, html } from "./html.ts";
import type { AttemptVerdict, DemoReport } from "./report.ts";
import { reportStyle } from "./report-style.ts";
import { zonesPicture, type StopCounts } from "./zones-picture.ts";

/** One page that loads nothing: its own policy forbids scripts, fonts, pictures and requests. */
export function renderHtml(report: DemoReport, digest: string): string {
  const page = html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" />
      <meta
        http-equiv="Content-Security-Policy"
        content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"
      />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="referrer" content="no-referrer" />
      <title>Cordon demo: ${report.fleet}</title>
      <style>
        ${new Html(reportStyle)}
      </style>
      <main>
        <h1>${headline(report)}</h1>
        <p class="lead">
          Fleet ${report.fleet} on Cordon ${report.cordon},
          ${new Date(report.startedAtMs).toISOString().slice(0, 16).replace("T", " ")} UTC. The agents spoke to the
          rehearsal model: scripted, free of charge, priced as if it were real.
        </p>
        ${problems(report)} ${tiles(report)}
        <section class="card">${zonesPicture(countsOf(report.attempts))}</section>
        <section class="card">
          <h2>What the hijacked intern tried</h2>
          ${attempts(report.attempts)}
        </section>
        <section class="card">
          <h2>What it cost</h2>
          ${spend(report)}
        </section>
        <section class="card">
          <h2>Evidence</h2>
          ${evidence(report)}
        </section>
        <section class="card">
          <h2>The digest</h2>
          <div class="digest">${digest ? digestHtml(digest) : html`<p class="bad">There is none.</p>`}</div>
        </section>
        <footer>${timings(report)}</footer>
      </main>
    </html> `;
  return page.text;
}

const stoppedIn = (report: DemoReport): number => report.attempts.filter((one) => one.outcome === "stopped").length;

function headline(report: DemoReport): string {
  if (!report.ok) return "Something was not as it should be";
  return "The job was done, and the hijacked agent got nowhere";
}

const problems = (report: DemoReport): Html =>
  report.problems.length === 0
    ? html``
    : html`<section class="card">
        <h2 class="bad">Problems</h2>
        <ul>
          ${report.problems.map((one) => html`<li>${one}</li>`)}
        </ul>
      </section>`;

function tiles(report: DemoReport): Html {
  const micros = report.spend.totals.reduce((sum, row) => sum + row.microUsd, 0);
  const totalMs = report.phases.reduce((sum, phase) => sum + phase.ms, 0);
  const tile = (value: string, what: string, tone = ""): Html =>
    html`<div class="tile"><b class="${tone}">${value}</b><span>${what}</span></div>`;
  return html`<div class="tiles">
    ${tile(`${stoppedIn(report)} / ${report.attempts.length}`, "attempts stopped, seen from outside", report.ok ? "good" : "bad")}
    ${tile(String(report.host.canary.foundIn.length), `leaks of the canary credential in ${formatBytes(report.host.canary.bytesSearched)}`, report.host.canary.foundIn.length === 0 ? "good" : "bad")}
    ${tile(formatUsd(micros), "spent at rehearsal prices")}
    ${tile(report.audit.ok ? "intact" : "broken", `audit chain of ${report.audit.records} records`, report.audit.ok ? "good" : "bad")}
    ${tile(formatDuration(totalMs), "from start to nothing left")}
  </div>`;
}

export function countsOf(list: readonly AttemptVerdict[]): StopCounts {
  const count = (start: string): number =>
    list.filter((one) => one.outcome !== "escaped" && one.stoppedBy.startsWith(start)).length;
  return {
    kernel: count("kernel") + count("sandbox"),
    door: count("door"),
    policy: count("policy"),
    ledger: count("ledger"),
    vault: count("vault"),
  };
}

function attempts(list: readonly AttemptVerdict[]): Html {
  const marks = {
    stopped: html`<span class="good">✓</span>`,
    escaped: html`<span class="bad">✗</span>`,
    unproven: html`<span class="warn">?</span>`,
  };
  const rows = list.map(
    (one) =>
      html`<tr>
        <td class="mark">${marks[one.outcome]}</td>
        <td>${one.title}<small>${one.threat}</small></td>
        <td>${one.stoppedBy}<small>${one.where}</small></td>
        <td>
          ${one.evidence.length > 0 ? one.evidence.map((says) => html`<div>${says}</div>`) : html`<span class="warn">only the intern's own word</span>`}<small
            >intern: ${one.claim}</small
          >
        </td>
      </tr>`,
  );
  return html`<table>
    <thead>
      <tr>
        <th></th>
        <th style="width:32%">attempt</th>
        <th style="width:22%">stopped by</th>
        <th>seen from outside, and what the intern says</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

function spend(report: DemoReport): Html {
  const totals = report.spend.totals.map(
    (row) =>
      html`<tr>
        <td>${row.agent}</td>
        <td><code>${row.model}</code></td>
        <td class="num">${row.calls}</td>
        <td class="num">${row.inputTokens}</td>
        <td class="num">${row.outputTokens}</td>
        <td class="num">${formatUsd(row.microUsd)}</td>
      </tr>`,
  );
  const lines = report.spend.lines.filter((line) => line.cap !== null && line.window === "day").map(budgetRow);
  return html`<table>
      <thead>
        <tr>
          <th>agent</th>
          <th>model</th>
          <th class="num">calls</th>
          <th class="num">tokens in</th>
          <th class="num">tokens out</th>
          <th class="num">cost</th>
        </tr>
      </thead>
      <tbody>
        ${totals}
      </tbody>
    </table>
    <h2 style="margin-top:22px">Budgets of the day</h2>
    <table>
      <tbody>
        ${lines}
      </tbody>
    </table>
    <p class="lead" style="margin:12px 0 0">Prices: ${report.spend.priceSource}</p>`;
}

function budgetRow(line: BudgetLine): Html {
  const used = line.settled + line.reserved;
  const share = line.cap ? Math.min(100, (used / line.cap) * 100) : 100;
  return html`<tr>
    <td>${line.scope}</td>
    <td style="width:45%">
      <div class="bar"><i class="${share >= 95 ? "full" : ""}" style="width:${share.toFixed(1)}%"></i></div>
    </td>
    <td class="num">${amountOf(line, used)} of ${amountOf(line, line.cap ?? 0)}</td>
  </tr>`;
}

function evidence(report: DemoReport): Html {
  const { honeypots, hostFile, canary } = report.host;
  const awake = honeypots.filter((one) => one.awake).length;
  const hits = honeypots.reduce((sum, one) => sum + one.hits, 0);
  const chain = report.audit.ok
    ? html`<li>
        Audit chain intact: ${report.audit.records} records, ${report.audit.checkpoints} signed checkpoints, head
        <code>${report.audit.head}</code>
      </li>`
    : html`<li class="bad">Audit chain broken at record ${report.audit.badSeq}: ${report.audit.fault}</li>`;
  const file = hostFile.unchanged && hostFile.unread !== false ? "was not touched" : "was touched";
  return html`<ul>
    ${chain}
    <li>
      ${awake} of ${honeypots.length} TCP and UDP listeners on the host's addresses were awake (they heard our own
      test); they heard ${hits} strangers.
    </li>
    <li>A file that everybody on the host may read ${file}.</li>
    <li>
      A random credential was put into the vault, and looked for in plain, reversed, hexadecimal and base64 form in
      ${canary.placesSearched} places (logs, audit, board, outputs, every file of the state and of the agents' volumes):
      ${canary.foundIn.length} hits${canary.foundIn.length > 0 ? `: ${canary.foundIn.join(", ")}` : ""}.
    </li>
  </ul>`;
}

const timings = (report: DemoReport): Html =>
  html`Time: ${report.phases.map((phase, i) => html`${i > 0 ? ", " : ""}${phase.name} ${formatDuration(phase.ms)}`)}.`;
