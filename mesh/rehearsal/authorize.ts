import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Secret } from "../../lib/redact.ts";

/** Keeps the hash of the key only; hashes have one length, so that the comparison takes one time. */
export function createKeyCheck(apiKey: Secret): (headers: IncomingHttpHeaders) => boolean {
  const expected = apiKey.reveal(hash);
  return (headers) => {
    const bearer = /^Bearer ([\x21-\x7e]{1,4096})$/.exec(headers.authorization ?? "")?.[1];
    const key = headers["x-api-key"] ?? headers["x-goog-api-key"] ?? headers["api-key"] ?? bearer;
    return typeof key === "string" && timingSafeEqual(hash(Buffer.from(key)), expected);
  };
}

const hash = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
