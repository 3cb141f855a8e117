import { createHash, timingSafeEqual } from "node:crypto";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { Hook } from "./hook.ts";

/** HMAC-SHA-256 under each value of the hook's secret that may still sign; none when the vault holds none. */
export type Sign = (pieces: readonly Uint8Array[]) => readonly Uint8Array[];

/** What came in: header names in lower case. */
export interface RawDelivery {
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/** `id` is the same for the same delivery; of one that is `timed` the signature covers when it was sent. */
export interface Genuine {
  readonly id: string;
  readonly timed: boolean;
}

/** A signature over what, when and under which id, in the words of one scheme. */
interface Claim {
  readonly signed: readonly Uint8Array[];
  readonly signatures: readonly Uint8Array[];
  readonly sentAtSeconds: number | null;
  readonly id: string;
}

/** Whether a delivery was signed with the secret of the hook, in its window. The error is for the operator, not for the sender. */
export function verify(hook: Hook, delivery: RawDelivery, nowMs: number, sign: Sign): Result<Genuine, string> {
  const claim = claims[hook.scheme](delivery, hook);
  if (!claim) return err("a signature is missing or not of the scheme");
  const expected = sign(claim.signed);
  if (expected.length === 0) return err("the vault holds no secret for it");
  // Every one is compared, in the same time, whatever the others were.
  const genuine =
    claim.signatures.flatMap((given) => expected.map((code) => sameBytes(given, code))).filter(Boolean).length > 0;
  if (!genuine) return err("the signature is wrong");
  if (claim.sentAtSeconds === null) return ok({ id: claim.id, timed: false });
  const apartMs = Math.abs(nowMs - claim.sentAtSeconds * 1000);
  return apartMs <= hook.windowMs ? ok({ id: claim.id, timed: true }) : err("it was sent outside of the window");
}

const claims: Readonly<Record<Hook["scheme"], (delivery: RawDelivery, hook: Hook) => Claim | undefined>> = {
  /** `X-Hub-Signature-256: sha256=HEX` over the body. */
  github: ({ headers, body }) => {
    const match = /^sha256=([0-9a-f]{64})$/.exec(headers.get("x-hub-signature-256") ?? "");
    return match ? untimed(body, Buffer.from(match[1] ?? "", "hex")) : undefined;
  },

  /** A header of the sender's choice: HEX or base64 over the body, with or without `sha256=`. */
  hmac: ({ headers, body }, { header }) => {
    const match = /^(?:sha256=)?(?:([0-9a-fA-F]{64})|([A-Za-z0-9+/]{43}=))$/.exec(headers.get(header ?? "") ?? "");
    if (!match) return undefined;
    return untimed(body, match[1] === undefined ? Buffer.from(match[2] ?? "", "base64") : Buffer.from(match[1], "hex"));
  },

  /** Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, and `v1,BASE64` signatures over `ID.TIMESTAMP.BODY`. */
  standard: ({ headers, body }) => {
    const id = /^[\x21-\x7e]{1,256}$/.exec(headers.get("webhook-id") ?? "")?.[0];
    const at = /^\d{1,12}$/.exec(headers.get("webhook-timestamp") ?? "")?.[0];
    const signatures = (headers.get("webhook-signature") ?? "")
      .split(" ", limits.hook.signaturesMax)
      .flatMap((item) => /^v1,([A-Za-z0-9+/]{43}=)$/.exec(item)?.[1] ?? []);
    if (id === undefined || at === undefined || signatures.length === 0) return undefined;
    return {
      signed: [Buffer.from(`${id}.${at}.`), body],
      signatures: signatures.map((text) => Buffer.from(text, "base64")),
      sentAtSeconds: Number(at),
      id: digest(Buffer.from(id)),
    };
  },

  /** `Stripe-Signature: t=SECONDS,v1=HEX,…` over `SECONDS.BODY`. A repeated delivery has the same body and a new time. */
  stripe: ({ headers, body }) => {
    const items = (headers.get("stripe-signature") ?? "").split(",", limits.hook.signaturesMax);
    const at = items.flatMap((item) => /^t=(\d{1,12})$/.exec(item)?.[1] ?? [])[0];
    const signatures = items.flatMap((item) => /^v1=([0-9a-f]{64})$/.exec(item)?.[1] ?? []);
    if (at === undefined || signatures.length === 0) return undefined;
    return {
      signed: [Buffer.from(`${at}.`), body],
      signatures: signatures.map((text) => Buffer.from(text, "hex")),
      sentAtSeconds: Number(at),
      id: digest(body),
    };
  },
};

/** Nothing but the body is signed, so nothing else may tell one delivery from another: an id in a header can be changed. */
const untimed = (body: Uint8Array, signature: Uint8Array): Claim => ({
  signed: [body],
  signatures: [signature],
  sentAtSeconds: null,
  id: digest(body),
});

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
