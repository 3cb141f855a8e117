import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";

/**
 * AES-256-GCM (NIST SP 800-38D). Layout: nonce (12 bytes) ‖ tag (16) ‖ ciphertext. The additional data binds
 * a box to its row, so that boxes cannot be swapped. A random nonce per key use: each data key seals once.
 */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const KEY_BYTES = 32;

export type RandomBytes = (count: number) => Buffer;

export function seal(key: Uint8Array, plain: Uint8Array, boundTo: string, random: RandomBytes): Buffer {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(boundTo));
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), body]);
}

/** Throws when the key, the row or a single bit is wrong. */
export function open(key: Uint8Array | KeyObject, box: Uint8Array, boundTo: string): Buffer {
  if (box.length < NONCE_BYTES + TAG_BYTES) throw new Error("sealed value is too short");
  const decipher = createDecipheriv("aes-256-gcm", key, box.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(boundTo));
  decipher.setAuthTag(box.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  return Buffer.concat([decipher.update(box.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
}
