import type { Result } from "../../../lib/result.ts";
import type { Answer } from "../answer.ts";
import type { ModelRequest } from "../conversation.ts";

/** What can go wrong, in neither format's words; each format has its own type and body for it. */
export type WireErrorKind =
  | "malformed"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "too_large"
  | "rate_limited"
  | "server_error"
  | "overloaded";

export interface WireError {
  readonly kind: WireErrorKind;
  readonly message: string;
}

export const wireStatus: Readonly<Record<WireErrorKind, number>> = {
  malformed: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  too_large: 413,
  rate_limited: 429,
  server_error: 500,
  overloaded: 529,
};

/** One provider's way to ask and to answer. `read` takes parsed JSON; `events` gives whole SSE frames. */
export interface WireFormat {
  /** Where this provider puts the id of a request. */
  readonly requestIdHeader: string;
  read(body: unknown, bodyBytes: number): Result<ModelRequest, string>;
  write(answer: Answer, request: ModelRequest): unknown;
  events(answer: Answer, request: ModelRequest): Iterable<string>;
  error(error: WireError): unknown;
  models(names: readonly string[], createdS: number): unknown;
}
