import { printable } from "../../lib/text.ts";
import { FleetFileError } from "../config/load.ts";
import { SandboxError } from "../sandbox/backend.ts";

/**
 * An error for people: what is wrong and how to mend it, on two lines. A fault of ours keeps its stack. Files that have come with a
 * checkout, and what agents have made, are named in it: they steer no terminal.
 */
export const explain = (error: unknown): string => printable(explained(error));

function explained(error: unknown): string {
  if (error instanceof FleetFileError) return `${error.message}\n`;
  if (error instanceof SandboxError) return `cordon: ${error.message}\nfix: ${error.remedy}\n`;
  if (!(error instanceof Error)) return `cordon: ${String(error)}\n`;
  if (EXPECTED.has(error.name)) return told(error.message);
  if ("code" in error) return `cordon: ${error.message}\nfix: ${SYSTEM_FIXES[String(error.code)] ?? DOCTOR}\n`;
  return `cordon: fault: ${error.stack ?? error.message}\n`;
}

const DOCTOR = "run `cordon doctor`";
/** What the system says names the file itself. */
const SYSTEM_FIXES: Readonly<Record<string, string>> = {
  EACCES: "run as the owner of that file, or give yourself the right",
  EPERM: "run as the owner of that file, or give yourself the right",
  ENOENT: "correct the path, or make the file",
  ENOSPC: "free some space on that disk, then start again",
  EROFS: "choose a place that can be written",
};

/** A message that ends in `: what to do`. A colon within backticks belongs to a name. */
export function told(message: string): string {
  let quoted = false;
  let end = message.length;
  for (let at = message.length - 1; at > 0; at--) {
    if (message[at] === "`") quoted = !quoted;
    if (quoted || message[at] !== ":" || message[at + 1] !== " ") continue;
    end = at;
    break;
  }
  return `cordon: ${message.slice(0, end)}\n${end < message.length ? `fix: ${message.slice(end + 2)}\n` : ""}`;
}

const EXPECTED = new Set(["VaultError", "DeskError", "StoreFailure", "CommandError"]);

/** A request that cannot be carried out; the message ends in `: what to do`. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}
