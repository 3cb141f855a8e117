// LangGraph.js: a graph of two nodes, a model that calls tools and the tools, with a memory of its own.
import { tool } from "@langchain/core/tools";
import { MemorySaver, MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { ToolNode, toolsCondition } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { MODEL, note, QUESTION } from "../note.mjs";
import { tell } from "../tell.mjs";

const weather = tool(async ({ city }) => `sunny in ${city}`, {
  name: "weather",
  description: "Tells the weather of a city.",
  schema: z.object({ city: z.string() }),
});
const write = tool(({ text }) => note("langgraph", text), {
  name: "note",
  description: "Notes a text down.",
  schema: z.object({ text: z.string() }),
});
const model = new ChatOpenAI({ model: MODEL }).bindTools([weather, write]);
const graph = new StateGraph(MessagesAnnotation)
  .addNode("model", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
  .addNode("tools", new ToolNode([weather, write]))
  .addEdge("__start__", "model")
  .addConditionalEdges("model", toolsCondition)
  .addEdge("tools", "model")
  .compile({ checkpointer: new MemorySaver() });
const { messages } = await graph.invoke(
  { messages: [{ role: "user", content: QUESTION }] },
  { configurable: { thread_id: "1" } },
);
tell({ step: "chat", answer: messages.at(-1).content });
tell({ step: "done" });
setInterval(() => {}, 1e6);
