import { formatBytes, formatDuration } from "../../../lib/units.ts";
import type { AgentPhase, AgentStatus, Status } from "../../../protocol/desk.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { tint, type Line, type Tone } from "../line.ts";
import { placesOf } from "../places.ts";

export const status: Command = {
  name: "status",
  summary: "show the agents of a running fleet",
  usage: "[--json] [--state DIR]",
  options: { ...jsonOption, ...stateOptions },
  words: [0, 0],
  async run(input, context) {
    const desk = await openDesk(placesOf(input, context).state);
    const now = await desk.status();
    if (input.flag("json")) context.terminal.json(now);
    else printStatus(now, context);
    return 0;
  },
};

export function printStatus(now: Status, context: Pick<Context, "terminal" | "clock">): void {
  const { terminal } = context;
  const up = formatDuration(Math.max(0, context.clock.nowMs() - now.startedAtMs));
  terminal.print([tint("strong", now.fleet), tint("faint", `  cordon ${now.version}, ${now.backend}, up ${up}`)]);
  const tenants = now.agents.some(({ tenant }) => tenant !== undefined);
  terminal.table(
    ["agent", ...(tenants ? ["tenant"] : []), "state", "model", "inbox", "memory", "restarts", "reason"],
    now.agents.map((agent) => [
      agent.name,
      ...(tenants ? [agent.tenant ?? "-"] : []),
      phaseOf(agent),
      agent.model,
      String(agent.inbox),
      agent.memoryBytes === null ? "-" : formatBytes(agent.memoryBytes),
      String(agent.restarts),
      agent.reason,
    ]),
  );
  for (const { provider, model, credential } of now.circuits) {
    const by = credential === null || credential === provider ? "" : ` with \`${credential}\``;
    terminal.print([tint("warn", `${provider}/${model}${by}`), " fails: other models of its chains answer for now"]);
  }
}

const phaseTones: Readonly<Record<AgentPhase, Tone>> = {
  starting: "accent",
  running: "good",
  stopped: "faint",
  asleep: "faint",
  halted: "warn",
  failed: "bad",
};
const phaseOf = (agent: AgentStatus): Line => tint(phaseTones[agent.phase] ?? "warn", agent.phase);
