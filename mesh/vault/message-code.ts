import { createHmac } from "node:crypto";
import type { Write } from "../store/store.ts";
import type { Vault } from "./vault.ts";

/** Secrets of Standard Webhooks are written `whsec_` and base64; any other is its own bytes. */
const WEBHOOK_PREFIX = "whsec_";

/**
 * HMAC-SHA-256 (RFC 2104) of `pieces`, one after the other, under a credential; undefined when there is none. The
 * secret stays in this room; `writes` counts the use.
 */
export function messageCode(
  vault: Vault,
  credential: string,
  pieces: readonly Uint8Array[],
): { readonly code: Buffer; readonly writes: readonly Write[] } | undefined {
  const found = vault.reveal(credential);
  if (!found) return undefined;
  const code = found.secret.reveal((bytes) => {
    const key = keyOf(bytes);
    const hmac = createHmac("sha256", key);
    for (const piece of pieces) hmac.update(piece);
    if (key !== bytes) key.fill(0);
    return hmac.digest();
  });
  found.secret.erase();
  return { code, writes: found.writes };
}

function keyOf(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1");
  return text.startsWith(WEBHOOK_PREFIX) ? Buffer.from(text.slice(WEBHOOK_PREFIX.length), "base64") : bytes;
}
