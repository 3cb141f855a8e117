import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
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
  if (file !== undefined) return inherit("--passphrase-file", file, context, unwrapping);
  if (token !== undefined) return { args: unwrapping };
  if (!isProtected(placesOf(input, context).state) || context.stdin.isTTY !== true) return { args: [] };
  const passphrase = await readSecret("passphrase of the vault key (not shown): ", context);
  return { args: ["--passphrase-file", "/dev/fd/3"], pipe: passphrase };
}

/** First bytes of a key that a server wraps: no passphrase opens it. */
const WRAPPED = "cordon-key/transit/";

function isProtected(state: string): boolean {
  const path = join(state, "vault.key");
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.size === PLAIN_KEY_BYTES) return false;
  try {
    return !readFileSync(path).toString("latin1").startsWith(WRAPPED);
  } catch {
    return true;
  }
}

/** A pipe that the shell has opened for this command, as of `<(secret-tool lookup …)`: no other process has it. */
const SHELL_PIPE = /^\/(?:dev\/fd|proc\/self\/fd)\/\d{1,4}$/;
const PASSPHRASE_READ_BYTES = 1_027;

/** The file by its name; what a pipe holds goes to the mesh through a pipe of its own. */
export function inherit(
  option: string,
  file: string,
  { cwd }: Pick<Context, "cwd">,
  more: readonly string[] = [],
): Inherited {
  if (!SHELL_PIPE.test(file)) return { args: [option, resolve(cwd, file), ...more] };
  const bytes = Buffer.alloc(PASSPHRASE_READ_BYTES);
  const pipe = openSync(file, "r");
  let length = 0;
  try {
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(pipe, bytes, length, bytes.length - length, null);
  } finally {
    closeSync(pipe);
  }
  return { args: [option, "/dev/fd/3", ...more], pipe: bytes.subarray(0, length) };
}
