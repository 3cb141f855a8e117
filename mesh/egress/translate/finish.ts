/** Why an answer ended, in both formats. What is unknown is an end like any other. */
const toChat: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  refusal: "content_filter",
};
const toMessages: Readonly<Record<string, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
};

const told = (table: Readonly<Record<string, string>>, reason: string, otherwise: string): string =>
  (Object.hasOwn(table, reason) ? table[reason] : undefined) ?? otherwise;

export const chatFinish = (stopReason: string): string => told(toChat, stopReason, "stop");
export const messagesStop = (finishReason: string): string => told(toMessages, finishReason, "end_turn");

/** The kind of an error by its status, as Anthropic names them (docs.anthropic.com/en/api/errors). */
const errorTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};
export const messagesErrorType = (status: number): string =>
  errorTypes[status] ?? (status < 500 ? "invalid_request_error" : "api_error");
