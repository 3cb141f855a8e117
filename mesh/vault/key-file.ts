import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Secret } from "../../lib/redact.ts";
import { KEY_BYTES, type RandomBytes } from "./envelope.ts";
import { isProtected, protect, protectionOf, saltIn, unprotect, type Protection } from "./passphrase.ts";
import { isWrapped, readWrapped, WRAPPED_HEAD_BYTES_MAX, type WrappedKey } from "./wrapped-key.ts";

export class VaultError extends Error {
  override readonly name = "VaultError";
}

/** The master key of a state, and what it is protected with on disk. */
export interface KeyFile {
  readonly master: Secret;
  readonly protection?: Protection;
}

/**
 * Asked only when the file is protected, for its passphrase, or for the key that a server has unwrapped. The bytes are
 * erased after use.
 */
export type KeyOpener = (wrapped?: WrappedKey) => Buffer;

export const KEY_FILE = "vault.key";
/** The next master key, from before the data keys are wrapped with it until it has the name above. */
export const NEXT_KEY_FILE = "vault.key.next";

/** Undefined when there is no such file. Refuses one that others could read, or that does not open. */
export function openKeyFile(stateFolder: string, opener?: KeyOpener, name = KEY_FILE): KeyFile | undefined {
  const path = join(stateFolder, name);
  const bytes = readKey(path);
  if (!bytes) return undefined;
  if (isWrapped(bytes)) return openWrapped(path, bytes, opener);
  if (!isProtected(bytes)) return { master: new Secret(bytes) };
  if (!opener) {
    throw new VaultError(
      `the vault key \`${path}\` is protected by a passphrase: run the command in a terminal, or give \`--passphrase-file FILE\``,
    );
  }
  const given = opener();
  try {
    const protection = protectionOf(given, saltIn(bytes));
    return { master: new Secret(unprotect(bytes, protection)), protection };
  } catch (cause) {
    throw new VaultError(
      `the vault key \`${path}\` does not open, as the passphrase is another one or the file is damaged: ` +
        "enter the right one, or put back a backup of the folder",
      { cause },
    );
  } finally {
    given.fill(0);
  }
}

function openWrapped(path: string, bytes: Buffer, opener: KeyOpener | undefined): KeyFile {
  const read = readWrapped(bytes);
  if (!read) throw new VaultError(`the vault key \`${path}\` is damaged: restore it from a backup`);
  const { address, key } = read.wrapped;
  if (!opener)
    throw new VaultError(
      `the vault key \`${path}\` opens with the key \`${key}\` of ${address}: give \`--vault-token-file FILE\``,
    );
  const given = opener(read.wrapped);
  try {
    const protection = { head: read.head, key: new Secret(Buffer.from(given)) };
    return { master: new Secret(unprotect(bytes, protection)), protection };
  } catch (cause) {
    throw new VaultError(
      `the vault key \`${path}\` does not open with the key that ${address} has unwrapped: put back a backup of the folder`,
      { cause },
    );
  } finally {
    given.fill(0);
  }
}

/** Where the key is that opens a file; undefined when it opens in another way, or is not there. */
export function wrappedIn(stateFolder: string, name: string): WrappedKey | undefined {
  const bytes = readKey(join(stateFolder, name));
  if (!bytes || !isWrapped(bytes)) {
    bytes?.fill(0);
    return undefined;
  }
  return readWrapped(bytes)?.wrapped;
}

/** Whether who has the file needs nothing else. */
export function opensAlone(stateFolder: string): boolean {
  const bytes = readKey(join(stateFolder, KEY_FILE));
  const alone = bytes !== undefined && !isProtected(bytes) && !isWrapped(bytes);
  bytes?.fill(0);
  return alone;
}

/** A new master key; of two first starts one wins. */
export function keepKeyFile(stateFolder: string, random: RandomBytes): KeyFile {
  const bytes = random(KEY_BYTES);
  try {
    write(stateFolder, KEY_FILE, bytes, random, linkSync);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    return openKeyFile(stateFolder) ?? { master: new Secret(bytes) };
  }
  return { master: new Secret(bytes) };
}

/** The same key in another protection, in one step: what a crash leaves is the one or the other. */
export function replaceKeyFile(stateFolder: string, file: KeyFile, random: RandomBytes): void {
  const bytes = protectedBytes(file, random);
  try {
    write(stateFolder, KEY_FILE, bytes, random, renameSync);
  } finally {
    bytes.fill(0);
  }
}

/** Writes a key beside the one that holds, in the same protection; `promoteNextKey` makes it the one that holds. */
export function keepNextKey(stateFolder: string, file: KeyFile, random: RandomBytes): void {
  const bytes = protectedBytes(file, random);
  try {
    write(stateFolder, NEXT_KEY_FILE, bytes, random, linkSync);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    const path = join(stateFolder, NEXT_KEY_FILE);
    // The rows may be wrapped with that one already, and it has only not got its name: it is not ours to remove.
    throw new VaultError(`a new master key waits in \`${path}\` already: start the mesh again, which takes it up`, {
      cause,
    });
  } finally {
    bytes.fill(0);
  }
}

const protectedBytes = ({ master, protection }: KeyFile, random: RandomBytes): Buffer =>
  master.reveal((plain) => (protection ? protect(plain, protection, random) : Buffer.from(plain)));

export function promoteNextKey(stateFolder: string): void {
  renameSync(join(stateFolder, NEXT_KEY_FILE), join(stateFolder, KEY_FILE));
  syncFolder(stateFolder);
}

export function dropNextKey(stateFolder: string): void {
  rmSync(join(stateFolder, NEXT_KEY_FILE), { force: true });
}

/** What a crash has left of files that were being written: the key can stand in them without its protection. */
export function dropDrafts(stateFolder: string): void {
  for (const name of readdirSync(stateFolder)) if (DRAFT.test(name)) rmSync(join(stateFolder, name));
}
const DRAFT = /^vault\.key(?:\.next)?\.[0-9a-f]{12}$/;

/** The longest form: a head that names a server, and the box. */
const FILE_BYTES_MAX = WRAPPED_HEAD_BYTES_MAX + 1_024;

function readKey(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new VaultError(`cannot read the vault key \`${path}\`: ${(cause as Error).message}`, { cause });
  }
  try {
    const { mode, size, uid } = fstatSync(file);
    if ((mode & 0o077) !== 0)
      throw new VaultError(`the vault key \`${path}\` can be read by others: run \`chmod 600 ${path}\``);
    if (uid !== process.getuid?.())
      throw new VaultError(`the vault key \`${path}\` belongs to another user: use the state folder as its owner`);
    const bytes = Buffer.alloc(Math.min(size, FILE_BYTES_MAX));
    const read = readSync(file, bytes);
    if (read !== bytes.length || read !== size || (size !== KEY_BYTES && !isProtected(bytes) && !isWrapped(bytes)))
      throw new VaultError(
        `the vault key \`${path}\` is damaged (${size} bytes, not ${KEY_BYTES}): restore it from a backup`,
      );
    return bytes;
  } finally {
    closeSync(file);
  }
}

/** Whole under another name first, so that no crash leaves half a key under this one. */
function write(
  folder: string,
  name: string,
  bytes: Uint8Array,
  random: RandomBytes,
  give: typeof linkSync | typeof renameSync,
): void {
  const path = join(folder, name);
  const draft = `${path}.${random(6).toString("hex")}`;
  try {
    const file = openSync(draft, "wx", 0o600);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    give(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
  syncFolder(folder);
}

/** The name must be on disk before anything that was sealed with the key. */
function syncFolder(folder: string): void {
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
