import { z } from "zod";
import type { Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Answer } from "../answer.ts";
import { joinTexts, type Entry, type ModelRequest, type ToolCall } from "../conversation.ts";
import { evenPieces, phrasePieces, wordPieces } from "../tokens.ts";
import type { WireFormat } from "./format.ts";
import { openAi } from "./openai.ts";
import { finishRequest, JsonSchema, ModelId, modelName, PositiveTokens, readForm, ToolName } from "./read.ts";

/** POST /v1/responses. Source: OpenAI API reference, "Create a model response" and "Streaming events". */

const PHRASE_CHARS = 48;
const ARGUMENT_CHARS = 64;

const Text = z.union([
  z.string(),
  z
    .array(z.looseObject({ type: z.string(), text: z.string().optional() }))
    .transform((parts) => parts.map((part) => part.text ?? "").join("")),
]);
const Item = z.union([
  z.looseObject({
    type: z.literal("function_call"),
    call_id: z.string().min(1),
    name: ToolName,
    arguments: z.string(),
  }),
  z.looseObject({ type: z.literal("function_call_output"), call_id: z.string().min(1), output: Text }),
  z.looseObject({ type: z.literal("reasoning") }),
  z.looseObject({ role: z.enum(["system", "developer", "user", "assistant"]), content: Text }),
]);
type Item = z.infer<typeof Item>;
const Body = z.looseObject({
  model: ModelId,
  input: z.union([z.string(), z.array(Item).min(1).max(limits.model.messagesMax)]),
  instructions: z.string().nullish(),
  tools: z
    .array(z.looseObject({ type: z.literal("function"), name: ToolName, parameters: JsonSchema.nullish() }))
    .max(limits.model.toolsMax)
    .nullish(),
  tool_choice: z.union([z.enum(["none", "auto", "required"]), z.looseObject({ type: z.string() })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_output_tokens: PositiveTokens.nullish(),
  stream: z.boolean().nullish(),
});

function read(body: unknown, bodyBytes: number): Result<ModelRequest, string> {
  const form = readForm(Body, body);
  if (!form.ok) return form;
  const { value } = form;
  const tools = value.tools ?? [];
  const items: readonly Item[] =
    typeof value.input === "string" ? [{ role: "user", content: value.input }] : value.input;
  const system = items.flatMap((item) =>
    "content" in item && "role" in item && (item.role === "system" || item.role === "developer")
      ? [String(item.content)]
      : [],
  );
  const request = {
    model: modelName(value.model),
    conversation: {
      system: joinTexts([value.instructions ?? "", ...system]),
      entries: joined(items.flatMap(entryOf)),
      tools: value.tool_choice === "none" ? [] : tools.map((tool) => tool.name),
    },
    maxTokens: value.max_output_tokens ?? undefined,
    stop: [],
    choices: 1,
    callsMax: value.parallel_tool_calls === false ? 1 : limits.rehearsal.callsParallelMax,
    stream: value.stream ?? false,
    usageInStream: true,
  };
  return finishRequest(request, tools.length > 0 ? Buffer.byteLength(JSON.stringify(tools)) : 0, bodyBytes);
}

function entryOf(item: Item): Entry[] {
  if ("output" in item) return [{ role: "result", callId: String(item.call_id), text: String(item.output) }];
  if ("arguments" in item) {
    const call: ToolCall = { id: String(item.call_id), name: String(item.name), arguments: String(item.arguments) };
    return [{ role: "assistant", text: "", calls: [call] }];
  }
  if (!("role" in item)) return [];
  if (item.role === "user") return [{ role: "user", text: String(item.content) }];
  return item.role === "assistant" ? [{ role: "assistant", text: String(item.content), calls: [] }] : [];
}

/** Here each call is an item of its own; in a conversation those of one answer belong together. */
function joined(entries: readonly Entry[]): Entry[] {
  const whole: Entry[] = [];
  for (const entry of entries) {
    const last = whole.at(-1);
    if (entry.role === "assistant" && last?.role === "assistant")
      whole[whole.length - 1] = { ...last, text: last.text + entry.text, calls: [...last.calls, ...entry.calls] };
    else whole.push(entry);
  }
  return whole;
}

const textItem = (answer: Answer, text: string, status: string): object => ({
  ...{ id: `msg_${answer.id}`, type: "message", role: "assistant", status },
  content: text === "" && status === "in_progress" ? [] : [partOf(text)],
});
const partOf = (text: string): object => ({ type: "output_text", text, annotations: [], logprobs: [] });
const callItem = (call: ToolCall, args: string, status: string): object => ({
  ...{
    id: `fc_${call.id}`,
    type: "function_call",
    call_id: `call_${call.id}`,
    name: call.name,
    arguments: args,
    status,
  },
});
const outputOf = (answer: Answer): object[] => [
  ...(answer.text === "" ? [] : [textItem(answer, answer.text, "completed")]),
  ...answer.calls.map((call) => callItem(call, call.arguments, "completed")),
];

function responseOf(answer: Answer, status: string, output: readonly object[]): object {
  const total = answer.inputTokens + answer.outputTokens;
  const isLong = status === "completed" && answer.finish.type === "length";
  return {
    ...{ id: `resp_${answer.id}`, object: "response", created_at: answer.createdS, model: answer.model, error: null },
    status: isLong ? "incomplete" : status,
    incomplete_details: isLong ? { reason: "max_output_tokens" } : null,
    ...{ instructions: null, metadata: {}, parallel_tool_calls: true, tool_choice: "auto", tools: [] },
    ...{ temperature: 1, top_p: 1, output },
    usage:
      status === "in_progress" || answer.usage !== "told"
        ? null
        : {
            input_tokens: answer.inputTokens,
            input_tokens_details: { cached_tokens: 0 },
            output_tokens: answer.outputTokens,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: total,
          },
  };
}

function* events(answer: Answer): Generator<string> {
  let sequence = 0;
  const frame = (type: string, fields: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...fields })}\n\n`;
  const started = { response: responseOf(answer, "in_progress", []) };
  yield frame("response.created", started);
  yield frame("response.in_progress", started);
  let at = 0;
  if (answer.text !== "") {
    const place = { item_id: `msg_${answer.id}`, output_index: at, content_index: 0 };
    yield frame("response.output_item.added", { output_index: at, item: textItem(answer, "", "in_progress") });
    yield frame("response.content_part.added", { ...place, part: partOf("") });
    for (const delta of answer.wordByWord ? wordPieces(answer.text) : phrasePieces(answer.text, PHRASE_CHARS))
      yield frame("response.output_text.delta", { ...place, delta, logprobs: [] });
    yield frame("response.output_text.done", { ...place, text: answer.text, logprobs: [] });
    yield frame("response.content_part.done", { ...place, part: partOf(answer.text) });
    yield frame("response.output_item.done", { output_index: at, item: textItem(answer, answer.text, "completed") });
    at++;
  }
  for (const call of answer.calls) {
    const place = { item_id: `fc_${call.id}`, output_index: at };
    yield frame("response.output_item.added", { output_index: at, item: callItem(call, "", "in_progress") });
    for (const delta of evenPieces(call.arguments, ARGUMENT_CHARS))
      yield frame("response.function_call_arguments.delta", { ...place, delta });
    yield frame("response.function_call_arguments.done", { ...place, name: call.name, arguments: call.arguments });
    yield frame("response.output_item.done", { output_index: at, item: callItem(call, call.arguments, "completed") });
    at++;
  }
  const ends = answer.finish.type === "length" ? "response.incomplete" : "response.completed";
  yield frame(ends, { response: responseOf(answer, "completed", outputOf(answer)) });
}

export const responses: WireFormat = {
  ...openAi,
  read,
  write: (answer) => responseOf(answer, "completed", outputOf(answer)),
  events,
};
