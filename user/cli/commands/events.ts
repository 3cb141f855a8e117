import { limits } from "../../../protocol/limits.ts";
import type { MeshEvent } from "../../../protocol/desk.ts";
import { jsonOption, stateOptions, type Command } from "../command.ts";
import { openDesk, type Desk } from "../desk-client.ts";
import { usageFailure } from "../failure.ts";
import { eventLine } from "../fleet-view.ts";
import { placesOf } from "../places.ts";

const WAIT_MS = 2_000;

export const events: Command = {
  name: "events",
  summary: "show what the mesh noticed: refusals, faults, budgets, circuits, sandboxes",
  usage: "[AGENT] [--type TYPE] [-n N] [-f] [--json] [--state DIR]",
  options: {
    type: { value: "TYPE", help: "only this type, or all below it: `budget`, `credential.first_use`" },
    lines: { value: "N", short: "n", help: "how many of the newest (default: 50)" },
    follow: { short: "f", help: "go on until Ctrl-C" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [0, 1],
  notes: ["The mesh keeps the newest in memory. What has to be proven later stands in `cordon audit`."],
  async run(input, context) {
    const [agent] = input.words;
    const type = input.text("type");
    const count = input.count("lines", 50, 1, limits.desk.eventsKeptMax);
    const follow = input.flag("follow");
    if (follow && input.flag("json"))
      throw usageFailure("`--json` prints a list that ends", "leave out `--follow`, or ask again");
    const wanted = (event: MeshEvent): boolean =>
      (agent === undefined || event.agent === agent) &&
      (type === undefined || event.type === type || event.type.startsWith(`${type}.`));
    const desk = await openDesk(placesOf(input, context).state);
    const { found, next: last } = await allOf(desk);
    const shown = found.filter(wanted).slice(-count);
    if (input.flag("json")) context.terminal.json({ events: shown });
    else for (const event of shown) context.terminal.print(eventLine(event));
    if (!follow) return 0;
    const signal = context.interruption();
    for (let next = last; !signal.aborted;) {
      const page = await desk.events(next, WAIT_MS, signal).catch((error: unknown) => {
        if (signal.aborted) return { events: [], next };
        throw error;
      });
      for (const event of page.events) if (wanted(event)) context.terminal.print(eventLine(event));
      next = page.next;
    }
    return 0;
  },
};

async function allOf(desk: Desk): Promise<{ readonly found: readonly MeshEvent[]; readonly next: number }> {
  const found: MeshEvent[] = [];
  for (let next = 0; ;) {
    const page = await desk.events(next, 0);
    found.push(...page.events);
    if (page.events.length === 0 || found.length >= 2 * limits.desk.eventsKeptMax) return { found, next };
    next = page.next;
  }
}
