import { limits } from "../../../protocol/limits.ts";
import { stateOptions, type Command } from "../command.ts";
import { openDesk, type Desk } from "../desk-client.ts";
import { placesOf } from "../places.ts";

const POLL_MS = 1_000;

export const logs: Command = {
  name: "logs",
  summary: "show what an agent's process prints",
  usage: "AGENT [-n N] [-f] [--state DIR]",
  options: {
    lines: { value: "N", short: "n", help: "how many lines (default: 50)" },
    follow: { short: "f", help: "go on until Ctrl-C" },
    ...stateOptions,
  },
  words: [1, 1],
  async run(input, context) {
    const count = input.count("lines", 50, 1, limits.desk.logLinesMax);
    const desk = await openDesk(placesOf(input, context).state);
    const agent = input.words[0] ?? "";
    const print = (line: string): void => context.terminal.print(line);
    const { lines } = await desk.logs(agent, count);
    lines.forEach(print);
    if (!input.flag("follow")) return 0;
    const signal = context.interruption();
    let seen: readonly string[] = (await wider(desk, agent)).slice(-limits.desk.logLinesMax);
    newLines(lines, seen).forEach(print);
    while (!signal.aborted) {
      await context.clock.sleep(POLL_MS, signal).catch(() => undefined);
      const now = await wider(desk, agent);
      newLines(seen, now).forEach(print);
      seen = now;
    }
    return 0;
  },
};

const wider = async (desk: Desk, agent: string): Promise<readonly string[]> =>
  (await desk.logs(agent, limits.desk.logLinesMax)).lines;

/**
 * The lines of `now` that come after `before`, where both are ends of one growing log: the longest end
 * of `before` that `now` contains as its beginning or, for a wider page, inside. Without any overlap, all.
 */
export function newLines(before: readonly string[], now: readonly string[]): readonly string[] {
  if (before.length === 0) return now;
  for (let end = now.length; end > 0; end--) {
    const length = Math.min(end, before.length);
    let same = 0;
    while (same < length && now[end - 1 - same] === before[before.length - 1 - same]) same++;
    if (same === length) return now.slice(end);
  }
  return now;
}
