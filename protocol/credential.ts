/** What people and the mesh say of credentials: names and metadata; a value goes in and never comes out. */
import { z } from "zod";
import { limits } from "./limits.ts";
import { Name } from "./names.ts";

export const CredentialInput = z.strictObject({
  name: Name,
  /** The value, base64. The only place where a value crosses a border, and only inward. */
  valueBase64: z.base64().max(64 * 1024),
  /** `new`: there is none of the name. `known`: there is one, and this is its next version. */
  expect: z.enum(["new", "known"]),
  /** How long the version before is kept, to take it out of answers and to verify what it signed. */
  overlapMs: z.int().min(0).max(limits.credential.overlapMsMax).optional(),
  expiresInMs: z.int().min(1_000).max(limits.credential.expiryMsMax).optional(),
});
export type CredentialInput = z.infer<typeof CredentialInput>;

export interface CredentialPage {
  readonly credentials: readonly {
    readonly name: string;
    readonly standing: "live" | "expired" | "revoked" | "missing";
    readonly version: number;
    /** Tells values apart; keyed, so that it cannot be used to try values out. Empty for those of an older version. */
    readonly fingerprint: string;
    readonly createdAtMs: number;
    readonly expiresAtMs: number | null;
    readonly retiring: number;
    readonly lastUsedAtMs: number | null;
    readonly uses: number;
  }[];
}

export interface CredentialUsage {
  readonly uses: readonly {
    readonly name: string;
    /** "" for the mesh itself. */
    readonly agent: string;
    readonly destination: string;
    readonly uses: number;
    readonly refusals: number;
    readonly firstUsedAtMs: number | null;
    readonly lastUsedAtMs: number | null;
  }[];
  /** What the fleet file permits and nobody has ever used. */
  readonly idle: readonly { readonly name: string; readonly agent: string }[];
}

/** `redirectUri`: the loopback address at which the person's own machine waits for the browser. */
export const LoginInput = z.strictObject({ redirectUri: z.string().max(256).optional() });
export const LoginCode = z.strictObject({ code: z.string().min(1).max(limits.source.codeCharsMax) });

export type LoginStart =
  | { readonly kind: "browser"; readonly url: string; readonly state: string }
  | { readonly kind: "device"; readonly url: string; readonly code: string };
