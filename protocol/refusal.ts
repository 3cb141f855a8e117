/**
 * The closed set of reasons for which Cordon says no, with the HTTP status that carries each.
 * No status here is one that client libraries retry by themselves (408, 409, 429, 5xx), except
 * `busy`, where trying again later is the remedy.
 */
export const refusalStatus = {
  malformed: 400,
  unauthenticated: 401,
  budget_exhausted: 402,
  denied: 403,
  halted: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 412,
  too_large: 413,
  unsupported: 422,
  rate_limited: 403,
  busy: 503,
  upstream_rejected: 424,
  upstream_failed: 424,
  store_failed: 424,
} as const;

export type RefusalCode = keyof typeof refusalStatus;

/** `reason` says what was refused and why; `remedy` is the narrowest change that would allow it. Both lower case, no full stop. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly reason: string;
  readonly remedy: string;
}

export const refusal = (code: RefusalCode, reason: string, remedy: string): Refusal => ({ code, reason, remedy });

/** The body of every refusal at the door and the desk, except on model routes, which use the provider's own error format. */
export interface RefusalBody {
  readonly error: Refusal;
}
