import type { WireError, WireErrorKind, WireFormat } from "./format.ts";
import { readOpenAi } from "./openai-read.ts";
import { openAiEvents, writeOpenAi } from "./openai-write.ts";

const ERRORS: Readonly<Record<WireErrorKind, readonly [type: string, code: string | null]>> = {
  malformed: ["invalid_request_error", null],
  unauthenticated: ["invalid_request_error", "invalid_api_key"],
  forbidden: ["invalid_request_error", "unsupported_country_region_territory"],
  not_found: ["invalid_request_error", "model_not_found"],
  too_large: ["invalid_request_error", null],
  rate_limited: ["requests", "rate_limit_exceeded"],
  server_error: ["server_error", null],
  overloaded: ["server_error", "service_unavailable"],
};

export const openAi: WireFormat = {
  requestIdHeader: "x-request-id",
  read: readOpenAi,
  write: writeOpenAi,
  events: openAiEvents,
  error({ kind, message }: WireError) {
    const [type, code] = ERRORS[kind];
    return { error: { message, type, param: null, code } };
  },
  models: (names, createdS) => ({
    object: "list",
    data: names.map((name) => ({ id: `rehearsal/${name}`, object: "model", created: createdS, owned_by: "rehearsal" })),
  }),
};
