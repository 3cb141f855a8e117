import { AnswerDraft } from "./answer-draft.ts";
import type { ModelAsk, ShownTool, ToolCall, Turn } from "./conversation.ts";
import { routes } from "./door-client.ts";
import { fieldsOf, refusalOf, tryJson, type Fields } from "./read-refusal.ts";
import type { AnswerReader, WireFormat } from "./wire-format.ts";

/** Anthropic messages, streaming. */
export const anthropic: WireFormat = {
  path: routes.anthropicMessages,
  headers: { accept: "text/event-stream", "anthropic-version": "2023-06-01" },
  body: (ask: ModelAsk) => ({
    model: ask.model,
    max_tokens: ask.outputTokensMax,
    ...(ask.instructions !== "" && { system: ask.instructions }),
    messages: ask.turns.map(messageOf),
    ...(ask.tools.length > 0 && { tools: ask.tools.map(toolOf) }),
    stream: true,
  }),
  reader: createReader,
};

const toolOf = ({ name, description, parameters }: ShownTool): object => ({
  name,
  description,
  input_schema: parameters,
});

function messageOf(turn: Turn): object {
  switch (turn.role) {
    case "user":
      return { role: "user", content: turn.text };
    case "assistant": {
      const text = turn.text === "" ? [] : [{ type: "text", text: turn.text }];
      return { role: "assistant", content: [...text, ...turn.calls.map(toolUseOf)] };
    }
    case "tools": {
      const content = turn.results.map(({ id, content, failed }) => ({
        type: "tool_result",
        tool_use_id: id,
        content,
        ...(failed && { is_error: true }),
      }));
      return { role: "user", content };
    }
  }
}

/** The format wants an object; a call whose text was cut off is repeated as one without arguments. */
const toolUseOf = ({ id, name, input }: ToolCall): object => ({
  type: "tool_use",
  id,
  name,
  input: fieldsOf(tryJson(input)) ?? {},
});

function createReader(): AnswerReader {
  const draft = new AnswerDraft();
  let stop: unknown;
  let complete = false;
  const startBlock = (index: number, block: Fields): ReturnType<AnswerReader["take"]> =>
    block["type"] === "tool_use"
      ? draft.addCall(index, { id: block["id"], name: block["name"] })
      : block["type"] === "text"
        ? draft.addText(block["text"])
        : undefined;
  const grow = (index: number, delta: Fields): ReturnType<AnswerReader["take"]> =>
    delta["type"] === "input_json_delta"
      ? draft.addCall(index, { input: delta["partial_json"] })
      : delta["type"] === "text_delta"
        ? draft.addText(delta["text"])
        : undefined;
  return {
    take({ data }) {
      const event = fieldsOf(tryJson(data));
      if (!event) return refusalOf({ message: "the model's stream holds an event that is not JSON" }, 502);
      const index = Number.isSafeInteger(event["index"]) ? (event["index"] as number) : 0;
      switch (event["type"]) {
        case "content_block_start":
          return startBlock(index, fieldsOf(event["content_block"]) ?? {});
        case "content_block_delta":
          return grow(index, fieldsOf(event["delta"]) ?? {});
        case "message_delta":
          stop = fieldsOf(event["delta"])?.["stop_reason"] ?? stop;
          return undefined;
        case "message_stop":
          complete = true;
          return undefined;
        case "error":
          return refusalOf(event["error"], 502);
        default:
          return undefined;
      }
    },
    answer: () => (complete ? { text: draft.text, calls: draft.calls, cut: stop === "max_tokens" } : undefined),
  };
}
