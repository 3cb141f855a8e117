import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { MODEL, QUESTION, run } from "./tell.mjs";

const openai = createOpenAI();
// This client reads no address from its environment, so the guest passes on the one that it was given.
const google = createGoogle({ baseURL: `${process.env.GOOGLE_GEMINI_BASE_URL}/v1beta` });
const models = {
  openaiResponses: openai(MODEL),
  openaiChat: openai.chat(MODEL),
  anthropic: createAnthropic()(MODEL),
  google: google(`models/${MODEL}`),
};
const weather = tool({
  description: "Tells the weather.",
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
  execute: ({ city }) => `sunny in ${city}`,
});
// What is stored is nothing here, so a conversation must be sent whole.
const providerOptions = { openai: { store: false } };

const steps = Object.entries(models).flatMap(([name, model]) => [
  [`${name}Generate`, async () => ({ text: (await generateText({ model, prompt: QUESTION, providerOptions })).text })],
  [
    `${name}Stream`,
    async () => {
      let text = "";
      for await (const piece of streamText({ model, prompt: QUESTION, providerOptions }).textStream) text += piece;
      return { text };
    },
  ],
  [
    `${name}Tools`,
    async () => ({
      text: (
        await generateText({ model, prompt: QUESTION, tools: { weather }, stopWhen: isStepCount(3), providerOptions })
      ).text,
    }),
  ],
]);
await run("vercel", {
  ...Object.fromEntries(steps),
  async embeddings() {
    const { embeddings } = await embedMany({ model: openai.embedding(MODEL), values: ["a", "b"] });
    return { text: embeddings.map(({ length }) => length).join(" ") };
  },
  unknownModel: () => generateText({ model: openai("openai/gpt-5"), prompt: QUESTION }),
});
