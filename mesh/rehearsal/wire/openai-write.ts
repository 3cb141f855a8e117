import type { Answer, Finish } from "../answer.ts";
import type { ModelRequest, ToolCall } from "../conversation.ts";
import { evenPieces, phrasePieces, wordPieces } from "../tokens.ts";

/** Answers in the form of POST /v1/chat/completions. Source: OpenAI API reference, "The chat completion (chunk) object". */

const PHRASE_CHARS = 48;
const ARGUMENT_CHARS = 64;

const FINISH: Readonly<Record<Finish["type"], string>> = {
  end: "stop",
  stop: "stop",
  calls: "tool_calls",
  length: "length",
};

export function writeOpenAi(answer: Answer, request: ModelRequest): unknown {
  return {
    id: `chatcmpl-${answer.id}`,
    object: "chat.completion",
    created: answer.createdS,
    model: answer.model,
    choices: Array.from({ length: request.choices }, (_, index) => ({
      index,
      message: {
        role: "assistant",
        content: answer.calls.length > 0 && answer.text === "" ? null : answer.text,
        refusal: null,
        annotations: [],
        ...(answer.calls.length > 0 && { tool_calls: answer.calls.map((call) => callOf(call, index, call.arguments)) }),
      },
      logprobs: null,
      finish_reason: FINISH[answer.finish.type],
    })),
    ...(answer.usage === "told" && { usage: usageOf(answer, request) }),
    service_tier: "default",
    system_fingerprint: "rehearsal",
  };
}

/** Frames of the stream; each choice in turn, since all of them are known beforehand. */
export function* openAiEvents(answer: Answer, request: ModelRequest): Generator<string> {
  const frame = (choices: unknown[], usage: unknown = null): string =>
    `data: ${JSON.stringify({
      id: `chatcmpl-${answer.id}`,
      object: "chat.completion.chunk",
      created: answer.createdS,
      model: answer.model,
      service_tier: "default",
      system_fingerprint: "rehearsal",
      choices,
      ...(request.usageInStream && answer.usage === "told" && { usage }),
    })}\n\n`;
  for (let index = 0; index < request.choices; index++) {
    const delta = (value: unknown, finish: string | null = null): string =>
      frame([{ index, delta: value, logprobs: null, finish_reason: finish }]);
    yield delta({
      role: "assistant",
      content: answer.calls.length > 0 && answer.text === "" ? null : "",
      refusal: null,
    });
    for (const content of answer.wordByWord ? wordPieces(answer.text) : phrasePieces(answer.text, PHRASE_CHARS))
      yield delta({ content });
    for (const [position, call] of answer.calls.entries()) {
      yield delta({ tool_calls: [{ index: position, ...callOf(call, index, "") }] });
      for (const piece of evenPieces(call.arguments, ARGUMENT_CHARS)) {
        yield delta({ tool_calls: [{ index: position, function: { arguments: piece } }] });
      }
    }
    yield delta({}, FINISH[answer.finish.type]);
  }
  if (request.usageInStream && answer.usage === "told") yield frame([], usageOf(answer, request));
  yield "data: [DONE]\n\n";
}

/** Choices share their content, never the ids of their calls. */
const callOf = (call: ToolCall, choice: number, argumentsText: string): object => ({
  id: choice === 0 ? `call_${call.id}` : `call_${call.id}_${choice}`,
  type: "function",
  function: { name: call.name, arguments: argumentsText },
});

/** The input counts once, the output for each choice. */
function usageOf(answer: Answer, request: ModelRequest): unknown {
  const completion = answer.outputTokens * request.choices;
  return {
    prompt_tokens: answer.inputTokens,
    completion_tokens: completion,
    total_tokens: answer.inputTokens + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
