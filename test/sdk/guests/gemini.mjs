import { GoogleGenAI } from "@google/genai";
import { MODEL, QUESTION, run } from "./tell.mjs";

const ai = new GoogleGenAI({});
const ask = { model: MODEL, contents: QUESTION };
const parametersJsonSchema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const config = {
  tools: [{ functionDeclarations: [{ name: "weather", description: "Tells it.", parametersJsonSchema }] }],
};

await run("gemini", {
  async generate() {
    const { text, usageMetadata } = await ai.models.generateContent({ ...ask, config: { maxOutputTokens: 60 } });
    return { text, usage: usageMetadata.candidatesTokenCount };
  },
  async stream() {
    let text = "";
    for await (const chunk of await ai.models.generateContentStream(ask)) text += chunk.text ?? "";
    return { text };
  },
  async tools() {
    const first = await ai.models.generateContent({ ...ask, config });
    const [{ name, args }] = first.functionCalls;
    const result = { functionResponse: { name, response: { output: `sunny in ${args.city}` } } };
    const contents = [
      { role: "user", parts: [{ text: QUESTION }] },
      first.candidates[0].content,
      { role: "user", parts: [result] },
    ];
    return { text: (await ai.models.generateContent({ ...ask, contents, config })).text };
  },
  async embeddings() {
    const { embeddings } = await ai.models.embedContent({ model: MODEL, contents: ["a", "b"] });
    return { text: embeddings.map(({ values }) => values.length).join(" ") };
  },
  unknownModel: () => ai.models.generateContent({ ...ask, model: "google/gemini-x" }),
});
