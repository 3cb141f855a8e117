import type { Secret } from "../../../lib/redact.ts";
import type { Result } from "../../../lib/result.ts";

/** A fresh value of a credential. `expiresInMs` null = the source does not say; ask again after the source's interval. */
export interface Minted {
  readonly value: Secret;
  readonly expiresInMs: number | null;
}

/** Never holds a value. `final`: asking again is of no use until a person has done what `fix` says. */
export interface MintFault {
  readonly reason: string;
  readonly fix: string;
  readonly final: boolean;
  /** As the server says it (RFC 6749 §5.2, RFC 8628 §3.5). */
  readonly code?: string;
}

/** Where the value of a credential comes from, when it is not entered by a person. */
export interface SecretSource {
  mint(signal: AbortSignal): Promise<Result<Minted, MintFault>>;
  /** Tells the other side that the value is not needed any more, where it can be told. Never rejects. */
  forget?(signal: AbortSignal): Promise<void>;
}

export const fault = (reason: string, fix: string, final = false): MintFault => ({ reason, fix, final });
