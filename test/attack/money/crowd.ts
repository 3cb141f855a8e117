/** What attacks with calls that are held whole share: a crowd that asks for more at once than its tenant can pay. */
import assert from "node:assert/strict";
import type { AuditRow, Costs } from "../../../protocol/desk.ts";
import { eventually, printed, type MeshFixture } from "../../fleet/running-mesh.ts";

export async function recordsOf(mesh: MeshFixture, kind: string, agent: string): Promise<AuditRow[]> {
  const { records } = await mesh.desk.audit(0, 1_000);
  return records.filter((each) => each.kind === kind && each.subject === `agent:${agent}`);
}

/** The holds of the agent `crowd` when each of them has ended; at least one of its calls was refused for money. */
export async function holdsOfCrowd(mesh: MeshFixture, patienceMs: number): Promise<AuditRow[]> {
  // What is refused when the cap is used up halts the agent: then the rest is never told, and the audit knows it.
  await eventually(
    "the end of the crowd",
    async () => {
      const crowd = (await mesh.desk.status()).agents.find(({ name }) => name === "crowd");
      const ended = crowd?.phase === "halted" || (await printed(mesh, "crowd", "crowded")).length > 0;
      return ended || undefined;
    },
    patienceMs,
  );
  const held = await eventually("the end of every hold", async () => {
    const found = await recordsOf(mesh, "model.reserved", "crowd");
    const ends = await recordsOf(mesh, "model.settled", "crowd");
    return found.length > 0 && found.length === ends.length ? found : undefined;
  });
  const refused = (await recordsOf(mesh, "decision", "crowd")).filter(({ detail }) => detail["allow"] === false);
  assert.ok(
    refused.some(({ detail }) => detail["code"] === "budget_exhausted"),
    JSON.stringify(refused[0]),
  );
  return held;
}

/** The tokens of a tenant's day. */
export async function dayOf(mesh: MeshFixture, tenant: string): Promise<Costs["lines"][number] | undefined> {
  return (await mesh.desk.costs()).lines.find(
    ({ scope, window, unit }) => scope === `tenant:${tenant}` && window === "day" && unit === "tokens",
  );
}
