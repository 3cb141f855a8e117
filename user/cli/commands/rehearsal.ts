import { resolve } from "node:path";
import type { Command } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { attendMesh } from "../mesh-process.ts";

export const rehearsal: Command = {
  name: "rehearsal",
  summary: "serve the scripted rehearsal model on a loopback port, for trials",
  usage: "serve --port N [--scenario FILE]",
  options: {
    port: { value: "N", help: "port on 127.0.0.1" },
    scenario: { value: "FILE", help: "scenario file (YAML) besides the built-in models echo, counter and fault" },
  },
  words: [1, 1],
  async run(input, context) {
    if (input.words[0] !== "serve") {
      throw usageFailure(`\`cordon rehearsal\` cannot \`${input.words[0]}\``, "say `cordon rehearsal serve`");
    }
    const scenario = input.text("scenario");
    if (input.text("port") === undefined)
      throw usageFailure("`--port` is needed", "cordon rehearsal serve --port N [--scenario FILE]");
    const port = input.count("port", 0, 1, 65_535);
    const scripted = scenario === undefined ? [] : ["--scenario", resolve(context.cwd, scenario)];
    const args = ["rehearsal", "--port", String(port), ...scripted];
    return (await attendMesh(context, args, context.interruption())) === 0 ? 0 : 1;
  },
};
