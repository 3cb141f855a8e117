import { FleetFileError } from "../config/load.ts";
import { SandboxError } from "../sandbox/backend.ts";

/** An error for people: what is wrong and how to mend it, on two lines. A fault of ours keeps its stack. */
export function explain(error: unknown): string {
  if (error instanceof FleetFileError) return `${error.message}\n`;
  if (error instanceof SandboxError) return `cordon: ${error.message}\nfix: ${error.remedy}\n`;
  if (!(error instanceof Error)) return `cordon: ${String(error)}\n`;
  const expected = EXPECTED.has(error.name) || "code" in error;
  return expected
    ? `cordon: ${error.message.replace(/: (?=[^:]*$)/, "\nfix: ")}\n`
    : `cordon: fault: ${error.stack ?? error.message}\n`;
}

const EXPECTED = new Set(["VaultError", "DeskError", "StoreFailure", "CommandError"]);

/** A request that cannot be carried out; the message ends in `: what to do`. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}
