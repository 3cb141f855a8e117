import { nearest } from "../../lib/nearest.ts";
import { limits } from "../../protocol/limits.ts";
import { capsOf } from "./budget.ts";
import type { TeamSetting } from "./fleet.ts";
import type { FleetForm } from "./schema.ts";
import type { Path } from "./source.ts";

/** The teams of the fleet file; a member that is unknown, named twice or in too many teams is a fault. */
export function teamsOf(
  forms: FleetForm["teams"],
  agents: ReadonlySet<string>,
  fault: (at: Path, message: string, fix: string) => void,
): readonly TeamSetting[] {
  const teams = new Map<string, number>();
  return Object.entries(forms ?? {}).map(([name, { members, budget }]) => {
    members.forEach((member, index) => {
      const at: Path = ["teams", name, "members", index];
      teams.set(member, (teams.get(member) ?? 0) + 1);
      const meant = nearest(member, [...agents]);
      if (!agents.has(member))
        fault(at, `no agent \`${member}\``, meant ? `did you mean \`${meant}\`?` : "declare it under `agents`");
      else if (members.indexOf(member) < index) fault(at, `\`${member}\` is named twice`, "name it once");
      else if ((teams.get(member) ?? 0) > limits.ledger.teamsPerAgentMax)
        fault(at, `\`${member}\` is in too many teams`, `at most ${limits.ledger.teamsPerAgentMax}`);
    });
    return { name, members, budget: capsOf(budget) };
  });
}

/** The tenants of the fleet file; an agent that is unknown, or of two of them, is a fault. */
export function tenantsOf(
  forms: FleetForm["tenants"],
  agents: ReadonlySet<string>,
  fault: (at: Path, message: string, fix: string) => void,
): readonly TeamSetting[] {
  const tenants = new Map<string, string>();
  return Object.entries(forms ?? {}).map(([name, { members, budget }]) => {
    members.forEach((member, index) => {
      const at: Path = ["tenants", name, "members", index];
      const other = tenants.get(member);
      tenants.set(member, name);
      const meant = nearest(member, [...agents]);
      if (!agents.has(member))
        fault(at, `no agent \`${member}\``, meant ? `did you mean \`${meant}\`?` : "declare it under `agents`");
      else if (other === name) fault(at, `\`${member}\` is named twice`, "name it once");
      else if (other !== undefined)
        fault(at, `\`${member}\` is of the tenant \`${other}\` already`, "an agent has one tenant: name it in one");
    });
    return { name, members, budget: capsOf(budget) };
  });
}
