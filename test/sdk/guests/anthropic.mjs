import Anthropic from "@anthropic-ai/sdk";
import { MODEL, QUESTION, run } from "./tell.mjs";

const client = new Anthropic();
const ask = { model: MODEL, max_tokens: 60, messages: [{ role: "user", content: QUESTION }] };
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ name: "weather", description: "Tells the weather.", input_schema: schema }];
const textOf = ({ content }) => content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("");

await run("anthropic", {
  async messages() {
    const message = await client.messages.create(ask);
    return { text: textOf(message), usage: message.usage.output_tokens };
  },
  async stream() {
    return { text: await client.messages.stream(ask).finalText() };
  },
  async tools() {
    const first = await client.messages.stream({ ...ask, tools }).finalMessage();
    const { id, input } = first.content.find((block) => block.type === "tool_use");
    const result = { type: "tool_result", tool_use_id: id, content: `sunny in ${input.city}` };
    const messages = [
      ...ask.messages,
      { role: "assistant", content: first.content },
      { role: "user", content: [result] },
    ];
    return { text: textOf(await client.messages.create({ ...ask, messages, tools })) };
  },
  async count() {
    const { input_tokens: count } = await client.messages.countTokens({ model: MODEL, messages: ask.messages });
    return { text: String(count) };
  },
  unknownModel: () => client.messages.create({ ...ask, model: "anthropic/claude-x" }),
});
