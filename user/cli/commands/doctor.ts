import { jsonOption, stateOptions, type Command } from "../command.ts";
import { tint } from "../line.ts";
import { meshJson } from "../mesh-offline.ts";
import { placesOf } from "../places.ts";

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly fix: string;
}
interface Checks {
  readonly checks: readonly Check[];
}

export const doctor: Command = {
  name: "doctor",
  summary: "check that this machine can hold agents: runtime, fence, store, clock",
  usage: "[--all] [--json] [--state DIR]",
  options: { all: { help: "each attempt on the fence in a line of its own" }, ...jsonOption, ...stateOptions },
  words: [0, 0],
  async run(input, context) {
    const { terminal } = context;
    const { state } = placesOf(input, context);
    const found = await meshJson<Checks>(context, ["doctor", "--state", state], [0, 1]);
    if (input.flag("json")) terminal.json(found);
    else {
      for (const one of input.flag("all") ? found.checks : folded(found.checks)) {
        terminal.print([
          one.ok ? tint("good", "ok  ") : tint("bad", "no  "),
          tint("strong", one.name),
          `  ${one.detail}`,
        ]);
        if (!one.ok) terminal.print(["    ", tint("accent", "fix: "), one.fix]);
      }
    }
    // No check at all proves nothing.
    return found.checks.length > 0 && found.checks.every((one) => one.ok) ? 0 : 1;
  },
};

/** Of the attempts on a fence that ended as they should only their number. */
function folded(checks: readonly Check[]): readonly Check[] {
  const groupOf = ({ name, ok, detail }: Check): string | undefined =>
    ok && !detail.startsWith("not tried") ? /^(fence[^:]{0,40}): /.exec(name)?.[1] : undefined;
  const times = new Map<string, number>();
  for (const check of checks) {
    const group = groupOf(check);
    if (group !== undefined) times.set(group, (times.get(group) ?? 0) + 1);
  }
  return checks.flatMap((check) => {
    const group = groupOf(check);
    if (group === undefined) return [check];
    const number = times.get(group);
    times.delete(group);
    return number === undefined ? [] : [{ ...check, name: group, detail: `${number} attempts ended as they should` }];
  });
}
