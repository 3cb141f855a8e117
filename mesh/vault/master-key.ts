import { createPrivateKey, createPublicKey, hkdfSync, sign } from "node:crypto";
import { closeSync, fstatSync, fsyncSync, linkSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { Secret } from "../../lib/redact.ts";
import type { AuditSigner } from "../audit/chain.ts";
import { KEY_BYTES, type RandomBytes } from "./envelope.ts";

export class VaultError extends Error {
  override readonly name = "VaultError";
}

/** Keys derived from the master key (HKDF, RFC 5869), one per purpose. The master key itself stays in this file. */
export interface MasterKey {
  /** Wraps the data keys of credentials. */
  readonly wrapping: Buffer;
  /** Authenticates the head of the audit chain. */
  readonly auditMac: Secret;
  /** Signs audit checkpoints (Ed25519, RFC 8032). */
  readonly auditSigner: AuditSigner;
}

const FILE = "vault.key";
/** PKCS #8 header of an Ed25519 seed (RFC 8410 §7). */
const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** Reads `vault.key` in the state folder; makes it on first use. Refuses a file that others could read. */
export function loadMasterKey(stateFolder: string, random: RandomBytes): MasterKey {
  const path = join(stateFolder, FILE);
  const bytes = readKey(path) ?? makeKey(path, random);
  const derive = (purpose: string): Buffer =>
    Buffer.from(hkdfSync("sha256", bytes, Buffer.alloc(0), `cordon/${purpose}/1`, KEY_BYTES));
  const seed = derive("audit-signer");
  const privateKey = createPrivateKey({ key: Buffer.concat([ED25519_PKCS8, seed]), format: "der", type: "pkcs8" });
  seed.fill(0);
  const key = {
    wrapping: derive("wrapping"),
    auditMac: new Secret(derive("audit-head")),
    auditSigner: {
      sign: (data: Uint8Array) => sign(null, data, privateKey),
      publicKey: createPublicKey(privateKey).export({ format: "der", type: "spki" }),
    },
  };
  bytes.fill(0);
  return key;
}

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
    if (size !== KEY_BYTES)
      throw new VaultError(
        `the vault key \`${path}\` is damaged (${size} bytes, not ${KEY_BYTES}): restore it from a backup`,
      );
    const bytes = Buffer.alloc(KEY_BYTES);
    readSync(file, bytes);
    return bytes;
  } finally {
    closeSync(file);
  }
}

/** Written whole under another name, then linked: a crash leaves no half key, and of two first starts one wins. */
function makeKey(path: string, random: RandomBytes): Buffer {
  const bytes = random(KEY_BYTES);
  const draft = `${path}.${random(6).toString("hex")}`;
  const file = openSync(draft, "wx", 0o600);
  writeSync(file, bytes);
  fsyncSync(file);
  closeSync(file);
  try {
    linkSync(draft, path);
    syncFolder(dirname(path));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    return readKey(path) ?? bytes;
  } finally {
    unlinkSync(draft);
  }
  return bytes;
}

/** The name must be on disk before anything that was sealed with the key. */
function syncFolder(folder: string): void {
  const file = openSync(folder, "r");
  fsyncSync(file);
  closeSync(file);
}
