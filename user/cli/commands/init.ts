import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { Name } from "../../../protocol/names.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Command } from "../command.ts";
import { codeOf, Failure } from "../failure.ts";
import { tint } from "../line.ts";
import { starterFiles } from "../starter-files.ts";

export const init: Command = {
  name: "init",
  summary: "write a small fleet of your own that runs without a key",
  usage: "[FOLDER]",
  options: {},
  words: [0, 1],
  async run(input, context) {
    const folder = resolve(context.cwd, input.words[0] ?? ".");
    const files = starterFiles(fleetNameOf(folder));
    const standing = files.find((file) => !file.mayStand && existsSync(join(folder, file.path)));
    if (standing) {
      throw new Failure(
        `\`${join(folder, standing.path)}\` is already there`,
        "name another folder: `cordon init FOLDER`; nothing was written",
      );
    }
    for (const file of files) await write(join(folder, file.path), file.text, file.mayStand);
    for (const file of files) context.terminal.print(["  ", tint("good", "wrote "), file.path]);
    const here = relative(context.cwd, folder);
    context.terminal.print("");
    context.terminal.print(`next: ${here ? `cd ${here} && ` : ""}cordon up -d && cordon chat assistant -m "hello"`);
    return 0;
  },
};

/** A fleet name made of the folder's name, as far as it has letters and digits. */
export function fleetNameOf(folder: string): string {
  const words =
    basename(folder)
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? [];
  const name = words
    .join("-")
    .replace(/^[^a-z]+/, "")
    .slice(0, limits.name.charsMax)
    .replace(/-$/, "");
  return Name.safeParse(name).success ? name : "my-fleet";
}

async function write(path: string, text: string, mayStand: boolean): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    if (mayStand && existsSync(path)) return await addLines(path, text);
    // `wx`: never over a file that came to be meanwhile.
    await writeFile(path, text, { flag: "wx" });
  } catch (error) {
    throw new Failure(`\`${path}\` cannot be written: ${codeOf(error)}`, "name a folder that you may write to", 1, {
      cause: error,
    });
  }
}

async function addLines(path: string, text: string): Promise<void> {
  const old = await readFile(path, "utf8");
  const lines = new Set(old.split("\n"));
  const missing = text.split("\n").filter((line) => line && !lines.has(line));
  if (missing.length > 0)
    await writeFile(path, `${old}${old === "" || old.endsWith("\n") ? "" : "\n"}${missing.join("\n")}\n`);
}
