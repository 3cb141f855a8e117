import { jsonOption, stateOptions, type Command } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { tint } from "../line.ts";
import { placesOf } from "../places.ts";

export const replay: Command = {
  name: "replay",
  summary: "prove that a run followed its plan: its journal is walked again, without any effect",
  usage: "RUN [--json] [--state DIR]",
  options: { ...jsonOption, ...stateOptions },
  words: [1, 1],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const verdict = await (await openDesk(state)).replayRun(input.words[0] ?? "");
    if (input.flag("json")) context.terminal.json(verdict);
    else if (verdict.ok)
      context.terminal.print([
        tint("good", "ok: "),
        `${verdict.events} events, ${verdict.decided} decisions follow from the plan and the recorded results; the run ${verdict.status}`,
      ]);
    else context.terminal.print([tint("bad", `event ${verdict.badSeq}: `), verdict.fault]);
    return verdict.ok ? 0 : 1;
  },
};
