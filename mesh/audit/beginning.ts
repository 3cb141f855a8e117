import type { Queries } from "../store/queries.ts";
import { defaultTenant } from "../store/statements.ts";

/**
 * Agents and credentials are stored in one transaction with their record: a state that holds any, and no record
 * at all, has been robbed of its evidence.
 */
export function robbed(query: Pick<Queries, "audit" | "agents" | "credentials">): boolean {
  const { lastSeq, headSeq, checkpointCount } = query.audit.extent();
  if (lastSeq !== null || headSeq !== null) return false;
  return (
    checkpointCount > 0 || query.agents.all(defaultTenant).length > 0 || query.credentials.all(defaultTenant).length > 0
  );
}
