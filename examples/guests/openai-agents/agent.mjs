// OpenAI Agents SDK: an agent with two tools, on the Responses API and on chat completions.
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from "@openai/agents";
import { z } from "zod";
import { MODEL, note, QUESTION } from "../note.mjs";
import { tell } from "../tell.mjs";

// Traces would go to the vendor's own server.
setTracingDisabled(true);
const weather = tool({
  name: "weather",
  description: "Tells the weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const write = tool({
  name: "note",
  description: "Notes a text down.",
  parameters: z.object({ text: z.string() }),
  execute: ({ text }) => note("openai-agents", text),
});
const agent = new Agent({ name: "clerk", instructions: "Use your tools.", model: MODEL, tools: [weather, write] });
for (const useResponses of [true, false]) {
  const runner = new Runner({ modelProvider: new OpenAIProvider({ useResponses }), tracingDisabled: true });
  const { finalOutput } = await runner.run(agent, QUESTION);
  tell({ step: useResponses ? "responses" : "chat", answer: finalOutput });
}
tell({ step: "done" });
setInterval(() => {}, 1e6);
