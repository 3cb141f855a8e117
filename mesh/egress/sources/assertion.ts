import { createPrivateKey, sign, type KeyObject } from "node:crypto";

const LIFETIME_SECONDS = 300;

/** JWA names (RFC 7518 §3.1, RFC 8037 §3.1) of the keys that are understood. */
function algorithmOf(key: KeyObject): { readonly alg: string; readonly hash: string | null } | undefined {
  if (key.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2_048)
    return { alg: "RS256", hash: "sha256" };
  if (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1")
    return { alg: "ES256", hash: "sha256" };
  return key.asymmetricKeyType === "ed25519" ? { alg: "EdDSA", hash: null } : undefined;
}

/**
 * A JWT bearer assertion (RFC 7523 §3), good for five minutes. `pkcs8`: base64 of the key in DER. Undefined when that is
 * no key of a kind that is understood.
 */
export function signAssertion(
  claims: { readonly iss: string; readonly sub: string; readonly aud: string },
  pkcs8: string,
  nowMs: number,
  id: string,
): string | undefined {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: Buffer.from(pkcs8, "base64"), format: "der", type: "pkcs8" });
  } catch {
    return undefined;
  }
  const algorithm = algorithmOf(key);
  if (!algorithm) return undefined;
  const iat = Math.floor(nowMs / 1_000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${part({ alg: algorithm.alg, typ: "JWT" })}.${part({ ...claims, iat, exp: iat + LIFETIME_SECONDS, jti: id })}`;
  const signature = sign(algorithm.hash, Buffer.from(body), { key, dsaEncoding: "ieee-p1363" });
  return `${body}.${signature.toString("base64url")}`;
}
