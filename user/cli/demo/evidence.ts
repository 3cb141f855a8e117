import type { AuditRow, AuditVerdict, BoardPage, Costs, MeshEvent, Status } from "../../../protocol/desk.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Desk } from "../desk-client.ts";
import type { CanarySearch } from "./canary.ts";
import type { HoneypotFinding, HostEvidence } from "./report.ts";

/** Everything that was observed outside the sandboxes. */
export interface Evidence {
  readonly status: Status;
  readonly costs: Costs;
  readonly audit: readonly AuditRow[];
  readonly auditVerdict: AuditVerdict;
  readonly board: BoardPage["rows"];
  readonly events: readonly MeshEvent[];
  readonly honeypots: readonly HoneypotFinding[];
  readonly hostFile: HostEvidence["hostFile"];
}

const AUDIT_PAGE = 500;
const AUDIT_PAGES_MAX = 200;

export async function readAudit(desk: Desk): Promise<readonly AuditRow[]> {
  const rows: AuditRow[] = [];
  let after = 0;
  for (let page = 0; page < AUDIT_PAGES_MAX; page++) {
    const { records, next } = await desk.audit(after, AUDIT_PAGE);
    rows.push(...records);
    if (records.length === 0 || next <= after) break;
    after = next;
  }
  return rows;
}

/** Looks for the canaries in everything that the mesh shows or keeps in the open. */
export async function searchShown(
  search: CanarySearch,
  desk: Desk,
  evidence: Omit<Evidence, "honeypots" | "hostFile">,
): Promise<void> {
  search.look("audit", JSON.stringify(evidence.audit));
  search.look("board", JSON.stringify(evidence.board));
  search.look("events", JSON.stringify(evidence.events));
  search.look("status and costs", JSON.stringify([evidence.status, evidence.costs]));
  for (const agent of evidence.status.agents) {
    const { lines } = await desk.logs(agent.name, limits.desk.logLinesMax);
    search.look(`log of ${agent.name}`, lines.join("\n"));
  }
}

/** Records by which the mesh said no to this agent. */
export function denialsOf(agent: string, audit: readonly AuditRow[]): readonly AuditRow[] {
  return audit.filter((row) => row.subject === `agent:${agent}` && row.detail["allow"] === false);
}
