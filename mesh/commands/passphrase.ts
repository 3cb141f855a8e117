import { closeSync, openSync, readSync } from "node:fs";
import type { MeshOptions } from "../main.ts";
import type { Passphrase } from "../vault/key-file.ts";
import { faultOfPassphrase } from "../vault/passphrase.ts";
import { CommandError } from "./failure.ts";

/** One byte more than a passphrase may have, and a line end. */
const READ_BYTES = 1_024 + 3;

/** From the file, or the inherited pipe (`/dev/fd/3`), that the command line names; never from the line itself. */
export const passphraseOf = ({
  "passphrase-file": path,
}: Pick<MeshOptions, "passphrase-file">): Passphrase | undefined =>
  path === undefined ? undefined : () => readPassphrase(path);

export function readPassphrase(path: string): Buffer {
  const bytes = Buffer.alloc(READ_BYTES);
  let length = 0;
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    for (let read = -1; read !== 0 && length < READ_BYTES; length += read)
      read = readSync(file, bytes, length, READ_BYTES - length, null);
  } catch (cause) {
    throw new CommandError(
      `the passphrase file \`${path}\` cannot be read (${(cause as NodeJS.ErrnoException).code}): name a file of your own with mode 600`,
    );
  } finally {
    if (file !== undefined) closeSync(file);
  }
  if (bytes[length - 1] === 0x0a) length--;
  if (bytes[length - 1] === 0x0d) length--;
  const given = bytes.subarray(0, length);
  const fault = faultOfPassphrase(given);
  if (fault !== undefined) throw new CommandError(`the passphrase in \`${path}\` does not do: ${fault}`);
  return given;
}
