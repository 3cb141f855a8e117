import { Secret } from "../../../lib/redact.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import type { Json } from "../../../lib/json.ts";

/** A service that keeps a key for itself and wraps with it the one that opens a vault. */
export interface KeyWrapper {
  /** As the service writes it. */
  wrap(plain: Secret, signal: AbortSignal): Promise<Result<string, WrapFault>>;
  unwrap(ciphertext: string, signal: AbortSignal): Promise<Result<Secret, WrapFault>>;
}

/** Neither repeats what was sent or answered. */
export interface WrapFault {
  readonly reason: string;
  readonly fix: string;
}

export const wrapFault = (address: string, what: string, fix: string): WrapFault => ({
  reason: `${new URL(address).origin} ${what}`,
  fix,
});

export const base64Of = (plain: Secret): string => plain.reveal((bytes) => Buffer.from(bytes).toString("base64"));

/** What a service has answered as the key that it unwrapped, in base64. */
export function keyIn(address: string, plaintext: Json | undefined): Result<Secret, WrapFault> {
  if (typeof plaintext !== "string" || !BASE64.test(plaintext))
    return err(wrapFault(address, "answered without a plaintext", "look at the address and at its key"));
  const bytes = Buffer.from(plaintext, "base64");
  if (bytes.length === KEY_BYTES) return ok(new Secret(bytes));
  bytes.fill(0);
  return err(wrapFault(address, "unwraps something that is no key", "look at the address and at its key"));
}

const KEY_BYTES = 32;
const BASE64 = /^[A-Za-z0-9+/]{1,1024}={0,2}$/;
