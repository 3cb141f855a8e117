// Vercel AI SDK: a loop of tool calls, streamed.
import { createOpenAI } from "@ai-sdk/openai";
import { isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import { MODEL, note, QUESTION } from "../note.mjs";
import { tell } from "../tell.mjs";

const tools = {
  weather: tool({
    description: "Tells the weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
  note: tool({
    description: "Notes a text down.",
    inputSchema: z.object({ text: z.string() }),
    execute: ({ text }) => note("vercel-ai", text),
  }),
};
const run = streamText({ model: createOpenAI().chat(MODEL), prompt: QUESTION, tools, stopWhen: isStepCount(5) });
let answer = "";
for await (const piece of run.textStream) answer += piece;
tell({ step: "chat", answer });
tell({ step: "done" });
setInterval(() => {}, 1e6);
