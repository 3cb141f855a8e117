import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../lib/redact.ts";
import type { MeshOptions } from "../main.ts";
import { KEY_FILE, NEXT_KEY_FILE, opensAlone, wrappedIn, type KeyOpener } from "../vault/key-file.ts";
import { openerWith } from "../vault/wrapped-key.ts";
import { CommandError } from "./failure.ts";
import { isByService, serviceOf, unwrapped } from "./key-wrapping.ts";
import { passphraseOf } from "./passphrase.ts";

/**
 * What opens the key file of a state: nothing, a passphrase, or a key that a server unwraps. What was asked for must be what
 * the file is: nobody who expects the one gets the other.
 */
export async function keyOpenerOf(
  state: string,
  options: MeshOptions,
  held?: HeldToken,
): Promise<KeyOpener | undefined> {
  const path = options["vault-token-file"];
  const first = wrappedIn(state, KEY_FILE);
  // A next key stands in the same protection as the one before it: it says nothing of what opens the state.
  if (first === undefined) {
    if (path !== undefined && !isByService(options) && existsSync(join(state, KEY_FILE)))
      throw new CommandError(
        "`--vault-token-file` is given, and the vault key of this state opens without it: " +
          "wrap it with `cordon vault protect --transit ADDRESS` or `--kms ARN`, or leave the option out",
      );
    if (options["passphrase-file"] !== undefined && opensAlone(state))
      throw new CommandError(
        "`--passphrase-file` is given, and the vault key of this state opens without it: " +
          "protect it with `cordon vault protect`, or leave the option out",
      );
    return passphraseOf(options);
  }
  if (options["passphrase-file"] !== undefined)
    throw new CommandError("the vault key is wrapped by a server, not by a passphrase: give `--vault-token-file FILE`");
  if (isByService(options) && first.service !== serviceOf(options))
    throw new CommandError(
      "another service wraps the vault key, and would get the token of this one: unprotect it first",
    );
  // The file itself says what is missing.
  if (path === undefined) return undefined;
  const known = new Map<string, Secret>();
  const token = held ?? heldToken(options);
  try {
    const next = wrappedIn(state, NEXT_KEY_FILE);
    for (const each of next ? [first, next] : [first])
      if (!known.has(each.ciphertext)) known.set(each.ciphertext, await unwrapped(each, token.read()));
  } finally {
    if (!held) token.erase();
  }
  return openerWith(known);
}

/** The token of the command line, read when it is first needed, and once: a pipe holds it no longer then. */
export interface HeldToken {
  read(): Secret;
  erase(): void;
}
export function heldToken({ "vault-token-file": path }: MeshOptions): HeldToken {
  let known: Secret | undefined;
  return {
    read() {
      if (path === undefined) throw new CommandError("no token is given: add `--vault-token-file FILE`");
      return (known ??= tokenIn(path));
    },
    erase: () => known?.erase(),
  };
}

const TOKEN_BYTES_MAX = 8_192;

/** From a file of its owner alone, or from a pipe; never from the command line or the environment. */
function tokenIn(path: string): Secret {
  const bytes = Buffer.alloc(TOKEN_BYTES_MAX);
  let length = 0;
  try {
    const file = openSync(path, "r");
    try {
      const { mode, uid } = fstatSync(file);
      if ((mode & 0o077) !== 0 || uid !== process.getuid?.()) throw Object.assign(new Error(), { code: "EPERM" });
      for (let read = -1; read !== 0 && length < TOKEN_BYTES_MAX; length += read)
        read = readSync(file, bytes, length, TOKEN_BYTES_MAX - length, null);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CommandError(
      `the token file \`${path}\` cannot be used (${code}): name a file of your own with mode 600`,
    );
  }
  while (length > 0 && (bytes[length - 1] === 0x0a || bytes[length - 1] === 0x0d)) length--;
  const token = bytes.subarray(0, length);
  if (length > 0 && token.every((byte) => byte > 0x20 && byte < 0x7f)) return new Secret(token);
  bytes.fill(0);
  throw new CommandError(`there is no token in \`${path}\`: it holds one line of visible ASCII`);
}
