import { createHash } from "node:crypto";
import { Agent, request } from "undici";
import { limits } from "../../protocol/limits.ts";
import { trusting } from "./authorities.ts";

/** SHA-256 (hex) of the status and the body of an address that the operator has named; null when there is no answer in time. */
export type UrlDigest = (url: string) => Promise<string | null>;

/**
 * For a look that costs no tokens: https verified with the system's authorities and `ca`, no redirects, a bounded body, a
 * bounded time. What comes is hashed and goes nowhere.
 */
export function urlDigests(ca: string | null): { readonly digest: UrlDigest; close(): Promise<void> } {
  const { urlTimeoutMs, urlBytesMax } = limits.schedule;
  const dispatcher = new Agent({ connect: trusting(ca), connectTimeout: urlTimeoutMs });
  const digest: UrlDigest = async (url) => {
    try {
      const signal = AbortSignal.timeout(urlTimeoutMs);
      const { statusCode, body } = await request(url, { method: "GET", dispatcher, signal });
      const hash = createHash("sha256").update(`${statusCode}\n`);
      let left = urlBytesMax;
      for await (const piece of body as AsyncIterable<Buffer>) {
        hash.update(piece.subarray(0, left));
        left -= piece.length;
        // What is beyond the bound is not looked at: a page that long is told apart by its beginning.
        if (left <= 0) break;
      }
      return hash.digest("hex");
    } catch {
      return null;
    }
  };
  return { digest, close: () => dispatcher.destroy() };
}
