import { closeSync, openSync, readSync } from "node:fs";
import type { MeshOptions } from "../main.ts";
import type { KeyOpener } from "../vault/key-file.ts";
import { faultOfPassphrase } from "../vault/passphrase.ts";
import { CommandError } from "./failure.ts";

/** One byte more than a passphrase may have, and a line end. */
const READ_BYTES = 1_024 + 3;

/** From the file, or the inherited pipe (`/dev/fd/3`), that the command line names; never from the line itself. */
export const passphraseOf = ({
  "passphrase-file": path,
}: Pick<MeshOptions, "passphrase-file">): KeyOpener | undefined =>
  path === undefined ? undefined : () => readPassphrase(path);

export function readPassphrase(path: string): Buffer {
  const bytes = Buffer.alloc(READ_BYTES);
  let length = 0;
  let file: number | undefined;
  try {
    file = opened(path);
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
  if (fault === undefined) return given;
  bytes.fill(0);
  throw new CommandError(`the passphrase in \`${path}\` does not do: ${fault}`);
}

/** What Node calls a pipe is a pair of sockets, and nobody can open a socket by a name (ENXIO, open(2)): that one is ours already. */
function opened(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    if (path === INHERITED && (cause as NodeJS.ErrnoException).code === "ENXIO") return INHERITED_FD;
    throw cause;
  }
}

const INHERITED_FD = 3;
const INHERITED = `/dev/fd/${INHERITED_FD}`;
