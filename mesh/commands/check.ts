import { loadFleet } from "../config/load.ts";
import type { MeshOptions } from "../main.ts";

/** `check`: reads the fleet file and starts nothing. */
export function check({ fleet }: MeshOptions): number {
  const { name, agents } = loadFleet(fleet ?? "cordon.yaml");
  process.stdout.write(`${JSON.stringify({ fleet: name, agents: agents.map((agent) => agent.name) })}\n`);
  return 0;
}
