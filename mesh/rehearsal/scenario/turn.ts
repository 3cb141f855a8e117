import type { Conversation, Entry, ToolCall } from "../conversation.ts";
import { canonicalJson, type Json } from "../../../lib/json.ts";
import type { Roots } from "./template.ts";

/** What happened since the user last spoke: all that a step can ask about. */
export interface Turn {
  readonly roots: Roots;
  readonly userText: string;
  /** True if this very call was made already in this turn, whatever came of it. */
  made(tool: string, argumentsJson: string): boolean;
}

export function turnOf(conversation: Conversation): Turn {
  const start = conversation.entries.findLastIndex((entry) => entry.role === "user");
  const user = conversation.entries[start];
  const userText = user?.role === "user" ? user.text : "";
  const calls = new Map<string, ToolCall>();
  const made = new Set<string>();
  const results: Record<string, unknown[]> = Object.create(null);
  const refusals: unknown[] = [];
  for (const entry of conversation.entries.slice(start + 1)) {
    if (entry.role === "assistant") for (const call of entry.calls) calls.set(call.id, call);
    if (entry.role === "result") readResult(entry, calls, results, refusals);
  }
  for (const call of calls.values()) made.add(keyOf(call.name, call.arguments));
  return {
    roots: { user: { text: userText, ...readSender(userText) }, results, refusals },
    userText,
    made: (tool, argumentsJson) => made.has(keyOf(tool, argumentsJson)),
  };
}

function readResult(
  entry: Extract<Entry, { role: "result" }>,
  calls: ReadonlyMap<string, ToolCall>,
  results: Record<string, unknown[]>,
  refusals: unknown[],
): void {
  const tool = calls.get(entry.callId)?.name ?? "unknown";
  const value = jsonOr(entry.text);
  const error =
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as { error?: unknown }).error
      : undefined;
  if (error === undefined) (results[tool] ??= []).push(value);
  else refusals.push({ tool, ...(typeof error === "object" ? error : { reason: JSON.stringify(error) }) });
}

/** `Message from SENDER:` and what follows, as the agent loop writes it; any other text is all body. */
function readSender(text: string): { readonly sender: string; readonly body: string } {
  const match = /^Message from ([^\n]{1,200}):\n/.exec(text);
  return match ? { sender: match[1] ?? "", body: text.slice(match[0].length) } : { sender: "", body: text };
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** White space and the order of names make no other call of it. */
function keyOf(tool: string, argumentsJson: string): string {
  const value = jsonOr(argumentsJson);
  return `${tool} ${typeof value === "string" ? argumentsJson : canonicalJson(value as Json)}`;
}
