import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "../command.ts";
import type { Surroundings } from "../surroundings.ts";

export const version: Command = {
  name: "version",
  summary: "print the version",
  usage: "",
  options: {},
  words: [0, 0],
  async run(_input, context) {
    context.terminal.print(await ownVersion(context));
    return 0;
  },
};

export async function ownVersion(surroundings: Pick<Surroundings, "projectFolder">): Promise<string> {
  const text = await readFile(join(surroundings.projectFolder, "package.json"), "utf8");
  return String((JSON.parse(text) as { version?: unknown }).version);
}
