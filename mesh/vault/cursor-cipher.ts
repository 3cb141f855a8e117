import { createCipheriv, createDecipheriv, createHash, createSecretKey, hkdfSync, timingSafeEqual } from "node:crypto";
import type { CursorCipher } from "../blackboard/cursor-cipher.ts";
import { KEY_BYTES } from "./envelope.ts";
import type { MasterKey } from "./master-key.ts";

const BLOCK_BYTES = 16;
const HALF_BYTES = BLOCK_BYTES / 2;

/**
 * A cursor is one block of AES-256 (FIPS 197), base64url: 8 bytes of the number, 8 of the digest of the watch, by which a
 * foreign or made-up one is known. Each block is another, so that no mode and no nonce is needed; under the lasting keys,
 * so that a cursor outlives a change of the master key.
 */
export function cursorCipher({ lasting }: Pick<MasterKey, "lasting">): CursorCipher {
  const secret = lasting.reveal((bytes) =>
    createSecretKey(Buffer.from(hkdfSync("sha256", bytes, Buffer.alloc(0), "cordon/watch-cursor/1", KEY_BYTES))),
  );
  const markOf = (watch: string): Buffer => createHash("sha256").update(watch).digest().subarray(0, HALF_BYTES);
  return {
    seal(seq, watch) {
      const block = Buffer.alloc(HALF_BYTES);
      block.writeBigUInt64BE(BigInt(seq));
      const box = createCipheriv("aes-256-ecb", secret, null).setAutoPadding(false);
      return Buffer.concat([box.update(block), box.update(markOf(watch)), box.final()]).toString("base64url");
    },
    open(cursor, watch) {
      const sealed = Buffer.from(cursor, "base64url");
      if (sealed.length !== BLOCK_BYTES || sealed.toString("base64url") !== cursor) return undefined;
      const box = createDecipheriv("aes-256-ecb", secret, null).setAutoPadding(false);
      const block = Buffer.concat([box.update(sealed), box.final()]);
      if (!timingSafeEqual(block.subarray(HALF_BYTES), markOf(watch))) return undefined;
      return Number(block.readBigUInt64BE());
    },
  };
}
