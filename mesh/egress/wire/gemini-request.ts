import { z } from "zod";
import { limits } from "../../../protocol/limits.ts";
import { listOf } from "./list.ts";
import { outputTokens, passed } from "./parts.ts";

/** What an agent may say in the Gemini format. The names are those of the JSON form; no second spelling is known. */
const thoughts = { thought: z.boolean().optional(), thoughtSignature: z.string().optional() };
const Part = z.union([
  z.strictObject({ text: z.string(), ...thoughts }),
  z.strictObject({
    inlineData: z.strictObject({ mimeType: z.enum(["image/png", "image/jpeg"]), data: z.string() }),
    ...thoughts,
  }),
  z.strictObject({
    functionCall: z.strictObject({ id: z.string().optional(), name: z.string(), args: passed.optional() }),
    ...thoughts,
  }),
  z.strictObject({
    functionResponse: z.strictObject({ id: z.string().optional(), name: z.string(), response: passed }),
    ...thoughts,
  }),
]);
const parts = listOf(Part, limits.model.messagesMax);

export const GenerateCall = z.strictObject({
  contents: listOf(z.strictObject({ role: z.enum(["user", "model"]).optional(), parts }), limits.model.messagesMax, 1),
  systemInstruction: z.strictObject({ role: z.string().max(16).optional(), parts }).optional(),
  generationConfig: z
    .strictObject({
      maxOutputTokens: outputTokens.optional(),
      candidateCount: z.int().min(1).max(limits.model.choicesMax).optional(),
      temperature: z.number().optional(),
      topP: z.number().optional(),
      topK: z.number().optional(),
      seed: z.int().optional(),
      presencePenalty: z.number().optional(),
      frequencyPenalty: z.number().optional(),
      stopSequences: listOf(z.string(), 8).optional(),
      responseMimeType: z.enum(["text/plain", "application/json", "text/x.enum"]).optional(),
      responseSchema: passed.optional(),
      responseJsonSchema: passed.optional(),
      responseModalities: listOf(z.literal("TEXT")).optional(),
      thinkingConfig: passed.optional(),
    })
    .optional(),
  tools: listOf(
    z.strictObject({
      functionDeclarations: listOf(
        z.strictObject({
          name: z.string(),
          description: z.string().optional(),
          parameters: passed.optional(),
          parametersJsonSchema: passed.optional(),
          response: passed.optional(),
          responseJsonSchema: passed.optional(),
        }),
        limits.model.toolsMax,
      ),
    }),
    limits.model.toolsMax,
  ).optional(),
  toolConfig: passed.optional(),
  safetySettings: passed.optional(),
});
export type GenerateCall = z.infer<typeof GenerateCall>;
