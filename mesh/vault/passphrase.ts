import { argon2Sync } from "node:crypto";
import { Secret } from "../../lib/redact.ts";
import { KEY_BYTES, open, seal, type RandomBytes } from "./envelope.ts";

/** Argon2id as RFC 9106 §4 recommends where memory is limited: 3 passes over 64 MiB, 4 lanes, 128 bits of salt. */
const PARAMETERS = { parallelism: 4, memory: 64 * 1024, passes: 3 } as const;
const SALT_BYTES = 16;
/** First bytes of a protected key file; the parameters above belong to this version. */
const MAGIC = Buffer.from("cordon-key/argon2id/1\n");
export const PROTECTED_BYTES = MAGIC.length + SALT_BYTES + 12 + 16 + KEY_BYTES;

export const PASSPHRASE_BYTES_MIN = 12;
const PASSPHRASE_BYTES_MAX = 1_024;

/** What seals the master key anew without asking for the passphrase again. */
export interface Protection {
  /** What stands before the box, in clear text; the box is bound to it. */
  readonly head: Buffer;
  readonly key: Secret;
}

/** What a passphrase must be, or undefined when it is. */
export const faultOfPassphrase = (bytes: Uint8Array): string | undefined =>
  bytes.length < PASSPHRASE_BYTES_MIN || bytes.length > PASSPHRASE_BYTES_MAX
    ? `a passphrase has ${PASSPHRASE_BYTES_MIN} to ${PASSPHRASE_BYTES_MAX} bytes`
    : undefined;

export function protectionOf(passphrase: Uint8Array, salt: Buffer): Protection {
  const key = argon2Sync("argon2id", { message: passphrase, nonce: salt, tagLength: KEY_BYTES, ...PARAMETERS });
  return { head: Buffer.concat([MAGIC, salt]), key: new Secret(key) };
}

export const newSalt = (random: RandomBytes): Buffer => random(SALT_BYTES);

export const isProtected = (bytes: Uint8Array): boolean =>
  bytes.length === PROTECTED_BYTES && MAGIC.equals(bytes.subarray(0, MAGIC.length));

export const saltIn = (bytes: Buffer): Buffer => Buffer.from(bytes.subarray(MAGIC.length, MAGIC.length + SALT_BYTES));

/** Layout: head (of a passphrase: magic ‖ salt) ‖ box of the master key, bound to it. */
export function protect(master: Uint8Array, { head, key }: Protection, random: RandomBytes): Buffer {
  return Buffer.concat([head, key.reveal((bytes) => seal(bytes, master, head.toString("latin1"), random))]);
}

/** Throws when the passphrase is another one, or a bit of the file is. */
export function unprotect(bytes: Buffer, { head, key }: Protection): Buffer {
  return key.reveal((opened) => open(opened, bytes.subarray(head.length), head.toString("latin1")));
}
