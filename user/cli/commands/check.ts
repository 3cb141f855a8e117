import { parseJson } from "../../../lib/json.ts";
import { stateOptions, type Command } from "../command.ts";
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
    if (code !== 0) throw meshFailure(stderr, code);
    const found = parseJson(Buffer.from(stdout), 8);
    const { fleet, agents } = (found.ok ? found.value : {}) as {
      readonly fleet?: string;
      readonly agents?: readonly string[];
    };
    context.terminal.print([tint("good", "ok: "), `fleet ${fleet ?? ""} with ${(agents ?? []).join(", ")}`]);
    return 0;
  },
};
