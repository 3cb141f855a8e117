import { jsonOption, stateOptions, type Command } from "../command.ts";
import { tint } from "../line.ts";
import { meshJson } from "../mesh-offline.ts";
import { placesOf } from "../places.ts";

interface Checks {
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly fix: string;
  }[];
}

export const doctor: Command = {
  name: "doctor",
  summary: "check that this machine can hold agents: runtime, fence, store, clock",
  usage: "[--json] [--state DIR]",
  options: { ...jsonOption, ...stateOptions },
  words: [0, 0],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const found = await meshJson<Checks>(context, ["doctor", "--state", state], [0, 1]);
    if (input.flag("json")) context.terminal.json(found);
    else {
      context.terminal.table(
        ["", "check", "found", "fix"],
        found.checks.map((one) => [
          one.ok ? tint("good", "ok") : tint("bad", "no"),
          one.name,
          one.detail,
          one.ok ? "" : one.fix,
        ]),
      );
    }
    // No check at all proves nothing.
    return found.checks.length > 0 && found.checks.every((one) => one.ok) ? 0 : 1;
  },
};
