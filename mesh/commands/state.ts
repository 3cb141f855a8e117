import { existsSync, mkdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { CommandError } from "./failure.ts";

/** The state folder, made for its owner alone. */
export function stateFolder(path: string | undefined): string {
  if (path === undefined) throw new CommandError("no state folder is named: add `--state DIR`");
  const folder = resolve(path);
  if (!existsSync(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = statSync(folder);
  if (!stat.isDirectory()) throw new CommandError(`\`${folder}\` is not a folder: choose another with \`--state\``);
  if (stat.uid !== process.getuid?.())
    throw new CommandError(
      `\`${folder}\` belongs to another user: run as its owner, or choose another with \`--state\``,
    );
  if ((stat.mode & 0o077) !== 0)
    throw new CommandError(`\`${folder}\` can be entered by others: run \`chmod 700 ${folder}\``);
  return folder;
}

/** The state of an earlier mesh, for commands that only look. */
export function existingState(path: string | undefined): string {
  if (path === undefined || !existsSync(resolve(path))) {
    throw new CommandError(
      `there is no state in \`${path ?? ""}\`: start a fleet with \`cordon up\`, or name its folder with \`--state\``,
    );
  }
  return resolve(path);
}
