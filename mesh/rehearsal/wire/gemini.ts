import { z } from "zod";
import { limits } from "../../../protocol/limits.ts";
import type { Answer, Finish } from "../answer.ts";
import { joinTexts, type Entry } from "../conversation.ts";
import { phrasePieces, wordPieces } from "../tokens.ts";
import { wireStatus, type WireFormat } from "./format.ts";
import { finishRequest, modelName, PositiveTokens, readForm, ToolName } from "./read.ts";

/** POST /v1beta/models/MODEL:generateContent and :streamGenerateContent. Source: Gemini API reference, "Generating content". */

const PHRASE_CHARS = 48;
const FINISH: Readonly<Record<Finish["type"], string>> = {
  end: "STOP",
  stop: "STOP",
  calls: "STOP",
  length: "MAX_TOKENS",
};

const Part = z.looseObject({
  text: z.string().optional(),
  functionCall: z.looseObject({ id: z.string().optional(), name: ToolName, args: z.unknown().optional() }).optional(),
  functionResponse: z.looseObject({ id: z.string().optional(), name: ToolName, response: z.unknown() }).optional(),
});
const Content = z.looseObject({ role: z.string().optional(), parts: z.array(Part) });
const Body = z.looseObject({
  contents: z.array(Content).min(1).max(limits.model.messagesMax),
  systemInstruction: Content.optional(),
  generationConfig: z
    .looseObject({
      maxOutputTokens: PositiveTokens.optional(),
      candidateCount: z.int().min(1).max(limits.model.choicesMax).optional(),
      stopSequences: z.array(z.string()).max(5).optional(),
    })
    .optional(),
  tools: z
    .array(z.looseObject({ functionDeclarations: z.array(z.looseObject({ name: ToolName })).optional() }))
    .max(limits.model.toolsMax)
    .optional(),
});

const textOf = (parts: readonly z.infer<typeof Part>[]): string => parts.map((part) => part.text ?? "").join("");

/** A call may have no id; then it is known by its name and its place. */
function entriesOf(contents: readonly z.infer<typeof Content>[]): Entry[] {
  let made = 0;
  let answered = 0;
  return contents.flatMap(({ role, parts }): Entry[] => {
    const results = parts.flatMap(({ functionResponse: given }): Entry[] =>
      given
        ? [{ role: "result", callId: given.id ?? `${given.name}-${answered++}`, text: JSON.stringify(given.response) }]
        : [],
    );
    if (results.length > 0) return results;
    if (role !== "model") return [{ role: "user", text: textOf(parts) }];
    const calls = parts.flatMap(({ functionCall: call }) =>
      call
        ? [{ id: call.id ?? `${call.name}-${made++}`, name: call.name, arguments: JSON.stringify(call.args ?? {}) }]
        : [],
    );
    return [{ role: "assistant", text: textOf(parts), calls }];
  });
}

function chunkOf(answer: Answer, parts: readonly object[], choice: number, last: boolean, choices: number): object {
  const written = answer.outputTokens * choices;
  return {
    candidates: [
      {
        content: { role: "model", parts },
        index: choice,
        ...(last && { finishReason: FINISH[answer.finish.type] }),
      },
    ],
    ...(answer.usage === "told" && {
      usageMetadata: {
        promptTokenCount: answer.inputTokens,
        candidatesTokenCount: written,
        totalTokenCount: answer.inputTokens + written,
      },
    }),
    ...{ modelVersion: answer.model, responseId: answer.id },
  };
}

const callParts = (answer: Answer): object[] =>
  answer.calls.map((call) => ({ functionCall: { name: call.name, args: argsOf(call.arguments) } }));

function argsOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** `model` and `stream` stand in the path of this format. */
export const geminiFor = (model: string, stream: boolean): WireFormat => ({
  requestIdHeader: "x-request-id",
  read(body, bodyBytes) {
    const form = readForm(Body, body);
    if (!form.ok) return form;
    const { contents, systemInstruction, generationConfig, tools = [] } = form.value;
    const names = tools.flatMap(({ functionDeclarations = [] }) => functionDeclarations.map(({ name }) => name));
    const request = {
      model: modelName(model),
      conversation: {
        system: joinTexts(systemInstruction ? [textOf(systemInstruction.parts)] : []),
        entries: entriesOf(contents),
        tools: names,
      },
      maxTokens: generationConfig?.maxOutputTokens,
      stop: generationConfig?.stopSequences ?? [],
      choices: generationConfig?.candidateCount ?? 1,
      callsMax: limits.rehearsal.callsParallelMax,
      ...{ stream, usageInStream: true },
    };
    return finishRequest(request, names.length > 0 ? Buffer.byteLength(JSON.stringify(tools)) : 0, bodyBytes);
  },
  write(answer, { choices }) {
    const parts = [...(answer.text === "" ? [] : [{ text: answer.text }]), ...callParts(answer)];
    const whole = chunkOf(answer, parts, 0, true, choices) as { candidates: object[] };
    const [first] = whole.candidates;
    return { ...whole, candidates: Array.from({ length: choices }, (_, index) => ({ ...first, index })) };
  },
  *events(answer, { choices }) {
    const pieces = answer.wordByWord ? wordPieces(answer.text) : phrasePieces(answer.text, PHRASE_CHARS);
    const all = [...pieces.map((text) => [{ text }]), ...callParts(answer).map((part) => [part])];
    if (all.length === 0) all.push([]);
    for (let choice = 0; choice < choices; choice++)
      for (const [at, parts] of all.entries())
        yield `data: ${JSON.stringify(chunkOf(answer, parts, choice, at === all.length - 1, choices))}\n\n`;
  },
  error: ({ kind, message }) => ({ error: { code: wireStatus[kind], message, status: kind.toUpperCase() } }),
  models: (names) => ({ models: names.map((name) => ({ name: `models/${name}` })) }),
});
