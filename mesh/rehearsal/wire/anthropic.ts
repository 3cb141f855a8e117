import type { WireError, WireErrorKind, WireFormat } from "./format.ts";
import { readAnthropic } from "./anthropic-read.ts";
import { anthropicEvents, writeAnthropic } from "./anthropic-write.ts";

const ERRORS: Readonly<Record<WireErrorKind, string>> = {
  malformed: "invalid_request_error",
  unauthenticated: "authentication_error",
  forbidden: "permission_error",
  not_found: "not_found_error",
  too_large: "request_too_large",
  rate_limited: "rate_limit_error",
  server_error: "api_error",
  overloaded: "overloaded_error",
};

export const anthropic: WireFormat = {
  requestIdHeader: "request-id",
  read: readAnthropic,
  write: writeAnthropic,
  events: anthropicEvents,
  error: ({ kind, message }: WireError) => ({ type: "error", error: { type: ERRORS[kind], message } }),
  models: (names, createdS) => ({
    data: names.map((name) => ({
      type: "model",
      id: `rehearsal/${name}`,
      display_name: `Rehearsal: ${name}`,
      created_at: new Date(createdS * 1000).toISOString(),
    })),
    has_more: false,
    first_id: names[0] === undefined ? null : `rehearsal/${names[0]}`,
    last_id: names.length === 0 ? null : `rehearsal/${names.at(-1)}`,
  }),
};
