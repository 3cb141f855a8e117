import { stateOptions, type Command } from "../command.ts";
import { Failure } from "../failure.ts";
import { tint } from "../line.ts";
import { meshFailure, runMesh } from "../mesh-process.ts";
import { placesOf, requireFleetFile } from "../places.ts";

export const check: Command = {
  name: "check",
  summary: "find what is wrong in the fleet file, before anything runs",
  usage: "[--fleet FILE]",
  options: { fleet: stateOptions.fleet },
  words: [0, 0],
  async run(input, context) {
    const places = placesOf(input, context);
    requireFleetFile(places);
    const { code, stdout, stderr } = await runMesh(context, ["check", "--fleet", places.fleetFile]);
    for (const line of stdout.trimEnd().split("\n")) if (line) context.terminal.print(line);
    if (code === 0) {
      context.terminal.print([tint("good", "ok "), places.fleetFile]);
      return 0;
    }
    // The errors name file, line and column and stand on their own.
    if (!/^cordon: /m.test(stderr) && stderr.trim()) {
      for (const line of stderr.trimEnd().split("\n")) context.terminal.note(line);
      return 1;
    }
    if (stderr.trim() || !stdout.trim()) throw meshFailure(stderr, code);
    throw new Failure(`\`${places.fleetFile}\` has errors`, "mend the lines above and check again");
  },
};
