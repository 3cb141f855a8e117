import { formatDuration } from "../../../lib/units.ts";
import { jsonOption, stateOptions, type Command } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { tint } from "../line.ts";
import { placesOf } from "../places.ts";
import { statusLine } from "../run-view.ts";

export const trace: Command = {
  name: "trace",
  summary: "show where the time of a run went",
  usage: "RUN [--json] [--state DIR]",
  options: { ...jsonOption, ...stateOptions },
  words: [1, 1],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const traced = await (await openDesk(state)).traceRun(input.words[0] ?? "");
    if (input.flag("json")) {
      context.terminal.json(traced);
      return 0;
    }
    const { run, spans } = traced;
    const totalMs = Math.max(1, (run.finishedAtMs ?? context.clock.nowMs()) - run.createdAtMs);
    context.terminal.table(
      ["STEP", "TIME", "", "END"],
      spans.map(({ task, attempt, startMs, endMs, end }) => [
        attempt > 1 ? `${task} #${attempt}` : task,
        formatDuration((endMs ?? totalMs) - startMs),
        tint("accent", bar(startMs, endMs ?? totalMs, totalMs)),
        end,
      ]),
    );
    context.terminal.print(statusLine(run));
    return 0;
  },
};

const BAR_CHARS = 40;

/** Never empty, so that a short step is seen. White space would be folded by the table. */
function bar(startMs: number, endMs: number, totalMs: number): string {
  const from = Math.min(BAR_CHARS - 1, Math.floor((startMs / totalMs) * BAR_CHARS));
  const to = Math.max(from + 1, Math.min(BAR_CHARS, Math.ceil((endMs / totalMs) * BAR_CHARS)));
  return "·".repeat(from) + "█".repeat(to - from) + "·".repeat(BAR_CHARS - to);
}
