import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync } from "node:crypto";
import type { ValueCipher } from "../blackboard/value-cipher.ts";
import { KEY_BYTES, type RandomBytes } from "./envelope.ts";
import type { MasterKey } from "./master-key.ts";

/** Tells what was sealed so, and how. */
const MARK = "s1:";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Drawn at once: to ask the system for each nonce costs a third of sealing a short value. */
const NONCES_DRAWN = 64;

/**
 * Seals the values of the board for the disk: AES-256-GCM (NIST SP 800-38D) under a key of its own that outlives a
 * change of the master key, bound to key and version. `s1:` and base64 of nonce (12 bytes) ‖ tag (16) ‖ ciphertext.
 * Nonces are random: one key is good for 2^32 values.
 */
export function boardCipher({ lasting }: Pick<MasterKey, "lasting">, random: RandomBytes): ValueCipher {
  const secret = lasting.reveal((bytes) =>
    createSecretKey(Buffer.from(hkdfSync("sha256", bytes, Buffer.alloc(0), "cordon/board/1", KEY_BYTES))),
  );
  const place = ({ key, version }: { readonly key: string; readonly version: number }): Buffer =>
    Buffer.from(`board/${version}/${key}`);
  let drawn: Uint8Array = new Uint8Array();
  let used = 0;
  /** Each byte that was drawn is in one nonce only. */
  const nextNonce = (): Uint8Array => {
    if (used === drawn.length) [drawn, used] = [random(NONCES_DRAWN * NONCE_BYTES), 0];
    return drawn.subarray(used, (used += NONCE_BYTES));
  };
  return {
    seal(value, at) {
      const nonce = nextNonce();
      const box = createCipheriv("aes-256-gcm", secret, nonce, { authTagLength: TAG_BYTES }).setAAD(place(at));
      const body = [box.update(value, "utf8"), box.final()];
      return MARK + Buffer.concat([nonce, box.getAuthTag(), ...body]).toString("base64");
    },
    open(sealed, at) {
      if (!sealed.startsWith(MARK)) throw new Error("a value of the board is not sealed");
      const bytes = Buffer.from(sealed.slice(MARK.length), "base64");
      if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error("a sealed value of the board is too short");
      const box = createDecipheriv("aes-256-gcm", secret, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      box.setAAD(place(at)).setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([box.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), box.final()]).toString("utf8");
    },
  };
}
