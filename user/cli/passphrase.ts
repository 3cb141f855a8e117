import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Context, Input, OptionCard } from "./command.ts";
import type { Inherited } from "./mesh-process.ts";
import { placesOf } from "./places.ts";
import { readSecret } from "./secret-input.ts";

export const passphraseOption = {
  "passphrase-file": { value: "FILE", help: "passphrase of the vault key, if it has one (default: ask)" },
  "vault-token-file": { value: "FILE", help: "token for the server that wraps the vault key, if one does" },
} as const satisfies Record<string, OptionCard>;

/** A vault key without a passphrase is 32 bytes. */
const PLAIN_KEY_BYTES = 32;

/**
 * What a command of the mesh needs to open the vault key: nothing, the file that the command line names, or what a person
 * enters, which goes to the mesh through a pipe.
 */
export async function unlocking(input: Input, context: Context): Promise<Inherited> {
  const file = input.text("passphrase-file");
  const token = input.text("vault-token-file");
  const unwrapping = token === undefined ? [] : ["--vault-token-file", resolve(context.cwd, token)];
  if (file !== undefined) return { args: ["--passphrase-file", resolve(context.cwd, file), ...unwrapping] };
  if (token !== undefined) return { args: unwrapping };
  if (!isProtected(placesOf(input, context).state) || context.stdin.isTTY !== true) return { args: [] };
  const passphrase = await readSecret("passphrase of the vault key (not shown): ", context);
  return { args: ["--passphrase-file", "/dev/fd/3"], pipe: passphrase };
}

/** First bytes of a key that a passphrase opens; one that a server wraps begins otherwise. */
const BY_PASSPHRASE = "cordon-key/argon2id/";

function isProtected(state: string): boolean {
  const path = join(state, "vault.key");
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.size === PLAIN_KEY_BYTES) return false;
  try {
    return readFileSync(path).toString("latin1").startsWith(BY_PASSPHRASE);
  } catch {
    return true;
  }
}
