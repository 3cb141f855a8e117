import type { Answer, Finish } from "../answer.ts";
import type { ToolCall } from "../conversation.ts";
import { evenPieces, phrasePieces, wordPieces } from "../tokens.ts";

/** Answers in the form of POST /v1/messages. Source: Anthropic API reference, "Create a Message" and "Streaming Messages". */

const PHRASE_CHARS = 48;
const ARGUMENT_CHARS = 64;

const FINISH: Readonly<Record<Finish["type"], string>> = {
  end: "end_turn",
  stop: "stop_sequence",
  calls: "tool_use",
  length: "max_tokens",
};

export function writeAnthropic(answer: Answer): unknown {
  return {
    id: `msg_${answer.id}`,
    type: "message",
    role: "assistant",
    model: answer.model,
    content: [
      ...(answer.text === "" ? [] : [{ type: "text", text: answer.text }]),
      ...answer.calls.map((call) => ({ ...startOf(call), input: inputOf(call) })),
    ],
    ...endOf(answer.finish),
    ...(answer.usage === "told" && { usage: usageOf(answer, answer.outputTokens) }),
  };
}

export function* anthropicEvents(answer: Answer): Generator<string> {
  const told = answer.usage === "told";
  yield frame("message_start", {
    message: {
      id: `msg_${answer.id}`,
      type: "message",
      role: "assistant",
      model: answer.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      ...(told && { usage: usageOf(answer, Math.min(1, answer.outputTokens)) }),
    },
  });
  yield frame("ping", {});
  let index = 0;
  if (answer.text !== "") {
    const pieces = answer.wordByWord ? wordPieces(answer.text) : phrasePieces(answer.text, PHRASE_CHARS);
    yield* block(
      index++,
      { type: "text", text: "" },
      pieces.map((text) => ({ type: "text_delta", text })),
    );
  }
  for (const call of answer.calls) {
    const pieces = ["", ...evenPieces(call.arguments, ARGUMENT_CHARS)];
    yield* block(
      index++,
      { ...startOf(call), input: {} },
      pieces.map((piece) => ({ type: "input_json_delta", partial_json: piece })),
    );
  }
  yield frame("message_delta", {
    delta: endOf(answer.finish),
    ...(told && { usage: usageOf(answer, answer.outputTokens) }),
  });
  yield frame("message_stop", {});
}

function* block(index: number, start: unknown, deltas: readonly unknown[]): Generator<string> {
  yield frame("content_block_start", { index, content_block: start });
  for (const delta of deltas) yield frame("content_block_delta", { index, delta });
  yield frame("content_block_stop", { index });
}

const frame = (type: string, data: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;

const startOf = (call: ToolCall): object => ({ type: "tool_use", id: `toolu_${call.id}`, name: call.name });

/** Arguments that the bound on tokens cut off are no JSON: without a stream there is nothing to show of them. */
function inputOf(call: ToolCall): unknown {
  try {
    return JSON.parse(call.arguments);
  } catch {
    return {};
  }
}

const endOf = (finish: Finish): object => ({
  stop_reason: FINISH[finish.type],
  stop_sequence: finish.type === "stop" ? finish.sequence : null,
});

/** Cumulative: the last one told counts. */
const usageOf = (answer: Answer, outputTokens: number): object => ({
  input_tokens: answer.inputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: outputTokens,
});
