import { createHash, createPrivateKey, createPublicKey, hkdfSync, sign } from "node:crypto";
import { Secret } from "../../lib/redact.ts";
import type { AuditSigner } from "../audit/chain.ts";
import { KEY_BYTES, open, seal, type RandomBytes } from "./envelope.ts";
import { keepKeyFile, openKeyFile, type KeyFile, type KeyOpener } from "./key-file.ts";

export { VaultError } from "./key-file.ts";

/** Keys derived from the master key (HKDF, RFC 5869), one per purpose. The master key itself stays in this room. */
export interface MasterKey {
  /** Wraps the data keys of credentials. */
  readonly wrapping: Buffer;
  /** Makes the fingerprints of credentials. */
  readonly fingerprinting: Secret;
  /** Authenticates the head of the audit chain. */
  readonly auditMac: Secret;
  /** Signs audit checkpoints (Ed25519, RFC 8032). */
  readonly auditSigner: AuditSigner;
  /** Tells master keys apart, and nothing of them. */
  readonly fingerprint: string;
  /** The keys that outlive a rotation of the master key: evidence must stay verifiable. */
  readonly lasting: Secret;
}

/** PKCS #8 header of an Ed25519 seed (RFC 8410 §7). */
const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const LASTING = "vault/lasting-keys";

/** Reads the key of a state folder; makes it on first use. Refuses a file that others could read. */
export function loadMasterKey(stateFolder: string, random: RandomBytes, opener?: KeyOpener): MasterKey {
  const file = openKeyFile(stateFolder, opener) ?? keepKeyFile(stateFolder, random);
  return masterKeyOf(file);
}

/** `lastingBox`: the lasting keys that an earlier rotation has sealed; without one they are derived, too. */
export function masterKeyOf(file: KeyFile, lastingBox?: Uint8Array): MasterKey {
  return file.master.reveal((bytes) => {
    const derive = (purpose: string): Buffer =>
      Buffer.from(hkdfSync("sha256", bytes, Buffer.alloc(0), `cordon/${purpose}/1`, KEY_BYTES));
    const wrapping = derive("wrapping");
    const own = Buffer.concat([derive("audit-signer"), derive("audit-head"), derive("fingerprints")]);
    const fingerprint = createHash("sha256")
      .update(signerOf(own.subarray(0, KEY_BYTES)).publicKey)
      .digest("hex");
    const lasting = lastingBox === undefined ? own : open(wrapping, lastingBox, LASTING);
    const part = (index: number): Buffer => Buffer.from(lasting.subarray(index * KEY_BYTES, (index + 1) * KEY_BYTES));
    const seed = part(0);
    const auditSigner = signerOf(seed);
    seed.fill(0);
    return {
      ...{ wrapping, auditSigner, fingerprint },
      auditMac: new Secret(part(1)),
      fingerprinting: new Secret(part(2)),
      lasting: new Secret(lasting),
    };
  });
}

/** The lasting keys, sealed under the wrapping key of the next master key. */
export const sealLasting = (key: MasterKey, wrapping: Buffer, random: RandomBytes): Buffer =>
  key.lasting.reveal((bytes) => seal(wrapping, bytes, LASTING, random));

function signerOf(seed: Uint8Array): AuditSigner {
  const privateKey = createPrivateKey({ key: Buffer.concat([ED25519_PKCS8, seed]), format: "der", type: "pkcs8" });
  return {
    sign: (data) => sign(null, data, privateKey),
    publicKey: createPublicKey(privateKey).export({ format: "der", type: "spki" }),
  };
}
