import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import { mountsUnder } from "./mounts.ts";
import { runProgram } from "./process.ts";

/**
 * Removes a folder that a program of somebody else's has had in its hands. What it may have mounted there is the
 * host's own: with a mount below it, nothing is removed.
 */
export async function removeFolder(folder: string, clock: Clock): Promise<void> {
  const [mounted] = await mountsUnder(folder);
  if (mounted !== undefined)
    throw new SandboxError(
      `\`${mounted}\` was left mounted, so \`${folder}\` was not removed`,
      `run \`umount ${mounted}\`, then remove the folder`,
    );
  await runProgram("rm", ["-r", "-f", "--one-file-system", "--", folder], { clock });
}
