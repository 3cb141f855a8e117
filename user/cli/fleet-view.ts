import { printableLine } from "../../lib/text.ts";
import { formatUsd } from "../../lib/units.ts";
import type { Costs, MeshEvent, Status } from "../../protocol/desk.ts";
import type { Context } from "./command.ts";
import type { Desk } from "./desk-client.ts";
import { tint, type Line, type Tone } from "./line.ts";

const WAIT_MS = 2_000;

/** Prints what happens as it happens, over a live line with the totals, until `signal` is aborted. */
export async function followFleet(desk: Desk, context: Pick<Context, "terminal">, signal: AbortSignal): Promise<void> {
  let next = 0;
  while (!signal.aborted) {
    try {
      const page = await desk.events(next, WAIT_MS, signal);
      for (const event of page.events) context.terminal.note(eventLine(event));
      next = page.next;
      context.terminal.live(totalsLine(await desk.status(), await desk.costs()));
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
  }
}

export function eventLine(event: MeshEvent): Line {
  const detail = Object.entries(event.detail).map(([name, value]) => `${name}=${printableLine(String(value))}`);
  const time = Number.isFinite(event.atMs) ? new Date(event.atMs).toISOString().slice(11, 19) : "";
  return [
    tint("faint", `${time} `),
    tint("accent", (event.agent ?? "mesh").padEnd(14)),
    " ",
    tint(toneOf(event.type), event.type.padEnd(18)),
    tint("faint", ` ${detail.join(" ")}`),
  ];
}

function toneOf(type: string): Tone {
  if (/denied|refused|exhausted|halted/.test(type)) return "warn";
  return /failed|oom|exhausted|disk_full/.test(type) ? "bad" : "strong";
}

function totalsLine(status: Status, costs: Costs): Line {
  const counts = new Map<string, number>();
  for (const agent of status.agents) counts.set(agent.phase, (counts.get(agent.phase) ?? 0) + 1);
  const phases = [...counts].map(([phase, count]) => `${count} ${phase}`).join(", ");
  const calls = costs.totals.reduce((sum, row) => sum + row.calls, 0);
  const spent = costs.totals.reduce((sum, row) => sum + row.microUsd, 0);
  return tint("faint", `${status.agents.length} agents: ${phases} · ${calls} model calls · ${formatUsd(spent)}`);
}
