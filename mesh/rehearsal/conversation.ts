/** What both wire formats say, in one form. Texts are as sent; nothing is trusted, nothing is executed. */
export interface Conversation {
  readonly system: string;
  readonly entries: readonly Entry[];
  /** Names of the tools that may be called now; empty when the request forbids calls. */
  readonly tools: readonly string[];
}

export type Entry =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls: readonly ToolCall[] }
  | { readonly role: "result"; readonly callId: string; readonly text: string };

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text, as the model wrote it. */
  readonly arguments: string;
}

/** One model call, whichever format it came in. */
export interface ModelRequest {
  /** Without the provider's prefix: `echo`, `fault:stall-first`. */
  readonly model: string;
  readonly conversation: Conversation;
  /** Largest answer in tokens; undefined = no bound was asked for. */
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  /** How many answers; always 1 in the Anthropic format. */
  readonly choices: number;
  /** Calls in one answer at most. */
  readonly callsMax: number;
  readonly stream: boolean;
  /** OpenAI `stream_options.include_usage`; the Anthropic format always tells. */
  readonly usageInStream: boolean;
  readonly inputTokens: number;
}

/** Messages of the system role are joined by a blank line. */
export const joinTexts = (texts: readonly string[]): string => texts.filter((text) => text !== "").join("\n\n");

/**
 * Providers refuse a conversation whose calls and results do not pair up; so does the rehearsal, because
 * an agent loop that gets this wrong should not find out from a paid model. Undefined = well formed.
 */
export function pairingFault(entries: readonly Entry[]): string | undefined {
  let open = new Set<string>();
  for (const entry of entries) {
    if (entry.role === "result") {
      if (!open.delete(entry.callId))
        return `the result of call \`${entry.callId}\` does not follow a message with that call`;
      continue;
    }
    const [unanswered] = open;
    if (unanswered !== undefined) return `call \`${unanswered}\` is not followed by its result`;
    open = new Set(entry.role === "assistant" ? entry.calls.map((call) => call.id) : []);
  }
  const [unanswered] = open;
  return unanswered === undefined ? undefined : `call \`${unanswered}\` is not followed by its result`;
}
