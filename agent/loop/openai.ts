import { AnswerDraft } from "./answer-draft.ts";
import type { ModelAsk, ShownTool, Turn } from "./conversation.ts";
import { routes } from "./door-client.ts";
import { fieldsOf, refusalOf, tryJson } from "./read-refusal.ts";
import type { AnswerReader, WireFormat } from "./wire-format.ts";

/** OpenAI chat completions, streaming. */
export const openai: WireFormat = {
  path: routes.openaiChat,
  headers: { accept: "text/event-stream" },
  body: (ask: ModelAsk) => ({
    model: ask.model,
    messages: [{ role: "system", content: ask.instructions }, ...ask.turns.flatMap(messagesOf)],
    ...(ask.tools.length > 0 && { tools: ask.tools.map(toolOf) }),
    max_completion_tokens: ask.outputTokensMax,
    stream: true,
    stream_options: { include_usage: true },
  }),
  reader: createReader,
};

const toolOf = ({ name, description, parameters }: ShownTool): object => ({
  type: "function",
  function: { name, description, parameters },
});

function messagesOf(turn: Turn): readonly object[] {
  switch (turn.role) {
    case "user":
      return [{ role: "user", content: turn.text }];
    case "assistant": {
      const calls = turn.calls.map(({ id, name, input }) => ({
        id,
        type: "function",
        function: { name, arguments: input },
      }));
      const content = turn.text === "" && calls.length > 0 ? null : turn.text;
      return [{ role: "assistant", content, ...(calls.length > 0 && { tool_calls: calls }) }];
    }
    case "tools":
      return turn.results.map(({ id, content }) => ({ role: "tool", tool_call_id: id, content }));
  }
}

function createReader(): AnswerReader {
  const draft = new AnswerDraft();
  let finish: unknown;
  let lastIndex = 0;
  return {
    take({ data }) {
      if (data === "[DONE]") return undefined;
      const chunk = fieldsOf(tryJson(data));
      if (!chunk) return refusalOf({ message: "the model's stream holds an event that is not JSON" }, 502);
      if (fieldsOf(chunk["error"])) return refusalOf(chunk["error"], 502);
      // Only one choice was asked for; the last chunk, which carries the usage, has none.
      const choice = Array.isArray(chunk["choices"]) ? fieldsOf(chunk["choices"][0]) : undefined;
      if (!choice) return undefined;
      finish = choice["finish_reason"] ?? finish;
      const delta = fieldsOf(choice["delta"]) ?? {};
      let fault = draft.addText(delta["content"]);
      for (const item of Array.isArray(delta["tool_calls"]) ? delta["tool_calls"] : []) {
        const part = fieldsOf(item) ?? {};
        const called = fieldsOf(part["function"]) ?? {};
        if (Number.isSafeInteger(part["index"])) lastIndex = part["index"] as number;
        fault ??= draft.addCall(lastIndex, { id: part["id"], name: called["name"], input: called["arguments"] });
      }
      return fault;
    },
    answer: () =>
      typeof finish === "string" ? { text: draft.text, calls: draft.calls, cut: finish === "length" } : undefined,
  };
}
