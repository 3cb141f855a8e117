import { createHmac } from "node:crypto";
import type { Write } from "../store/store.ts";
import type { Vault } from "./vault.ts";
import type { CredentialUse } from "./watch.ts";

/** Secrets of Standard Webhooks are written `whsec_` and base64; any other is its own bytes. */
const WEBHOOK_PREFIX = "whsec_";

/**
 * HMAC-SHA-256 (RFC 2104) of `pieces`, one after the other, under a credential and under each of its versions whose
 * overlap lasts, newest first; none when there is no such credential. The secrets stay in this room; `writes` counts the use.
 */
export function messageCode(
  vault: Vault,
  credential: string,
  pieces: readonly Uint8Array[],
  use?: CredentialUse,
): { readonly codes: readonly Buffer[]; readonly writes: readonly Write[] } {
  const found = vault.reveal(credential, use);
  if (!found) return { codes: [], writes: [] };
  const secrets = [found, ...vault.retiring(credential)].map(({ secret }) => secret);
  const codes = secrets.map((secret) => secret.reveal((bytes) => codeOf(bytes, pieces)));
  for (const secret of secrets) secret.erase();
  return { codes, writes: found.writes };
}

function codeOf(bytes: Uint8Array, pieces: readonly Uint8Array[]): Buffer {
  const key = keyOf(bytes);
  const hmac = createHmac("sha256", key);
  for (const piece of pieces) hmac.update(piece);
  if (key !== bytes) key.fill(0);
  return hmac.digest();
}

function keyOf(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1");
  return text.startsWith(WEBHOOK_PREFIX) ? Buffer.from(text.slice(WEBHOOK_PREFIX.length), "base64") : bytes;
}
