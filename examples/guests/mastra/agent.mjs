// Mastra: an agent with two tools, on the Vercel AI SDK's provider of OpenAI.
import { createOpenAI } from "@ai-sdk/openai";
import { Agent } from "@mastra/core/agent";
import { createTool } from "@mastra/core/tools";
import { z } from "zod";
import { MODEL, note, QUESTION } from "../note.mjs";
import { tell } from "../tell.mjs";

const weather = createTool({
  id: "weather",
  description: "Tells the weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const write = createTool({
  id: "note",
  description: "Notes a text down.",
  inputSchema: z.object({ text: z.string() }),
  execute: ({ text }) => note("mastra", text),
});
const agent = new Agent({
  id: "clerk",
  name: "clerk",
  instructions: "Use your tools.",
  model: createOpenAI().chat(MODEL),
  tools: { weather, note: write },
});
const { text } = await agent.generate(QUESTION, { maxSteps: 5 });
tell({ step: "chat", answer: text });
tell({ step: "done" });
setInterval(() => {}, 1e6);
