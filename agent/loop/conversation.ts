/** What was said in a conversation, in no provider's format. */
export type Turn =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls: readonly ToolCall[] }
  | { readonly role: "tools"; readonly results: readonly ToolOutcome[] };

/** `input` is the JSON text as the model wrote it: it may be cut off or wrong. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly input: string;
}

/** `content` is JSON text: the tool's result, or `{"error":{code,reason,remedy}}` when `failed`. */
export interface ToolOutcome {
  readonly id: string;
  readonly name: string;
  readonly content: string;
  readonly failed: boolean;
}

/** A tool as the model is shown it: the name has letters, digits, `_` and `-` only. */
export interface ShownTool {
  readonly name: string;
  readonly description: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ModelAsk {
  readonly model: string;
  readonly instructions: string;
  readonly turns: readonly Turn[];
  readonly tools: readonly ShownTool[];
  readonly outputTokensMax: number;
}

export interface ModelAnswer {
  readonly text: string;
  readonly calls: readonly ToolCall[];
  /** The model was stopped by its output limit. */
  readonly cut: boolean;
}
