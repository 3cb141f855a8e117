import { createDecipheriv, createSecretKey, hkdfSync } from "node:crypto";
import type { Secret } from "../../lib/redact.ts";
import type { ValueCipher } from "../blackboard/value-cipher.ts";
import { KEY_BYTES } from "./envelope.ts";

const MARK = "s1:";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Opens what earlier versions have sealed: AES-256-GCM; `s1:` and base64 of nonce (12 bytes) ‖ tag (16) ‖ ciphertext. */
export function openFirstForm(lasting: Secret): ValueCipher["open"] {
  const secret = lasting.reveal((bytes) =>
    createSecretKey(Buffer.from(hkdfSync("sha256", bytes, Buffer.alloc(0), "cordon/board/1", KEY_BYTES))),
  );
  return (sealed, { key, version }) => {
    if (!sealed.startsWith(MARK)) throw new Error("a value of the board is not sealed");
    const bytes = Buffer.from(sealed.slice(MARK.length), "base64");
    if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error("a sealed value of the board is too short");
    const box = createDecipheriv("aes-256-gcm", secret, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    box.setAAD(Buffer.from(`board/${version}/${key}`)).setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return Buffer.concat([box.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), box.final()]).toString("utf8");
  };
}
