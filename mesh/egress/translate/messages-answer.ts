import type { Json } from "../../../lib/json.ts";
import { ok } from "../../../lib/result.ts";
import { fieldsOf, listOf, textOf, type Fields } from "../wire/json-fields.ts";
import { dataLine, type AnswerHead, type AnswerTranslation, type StreamTranslation } from "./answer.ts";
import { chatFinish } from "./finish.ts";
import { chatUsage } from "./usage.ts";

/** Answers of Anthropic's messages, told as OpenAI's chat completions. */
export const messagesAnswer: AnswerTranslation = {
  plain(answer, { id, model, createdS }) {
    const message = fieldsOf(answer);
    const blocks = listOf(message["content"]).map(fieldsOf);
    const words = blocks.map((block) => (textOf(block["type"]) === "text" ? textOf(block["text"]) : "")).join("");
    const calls = blocks
      .filter((block) => block["type"] === "tool_use")
      .map((block) => ({
        ...callOf(block),
        function: { name: textOf(block["name"]), arguments: JSON.stringify(block["input"] ?? {}) },
      }));
    const spoken = {
      ...{ role: "assistant", content: words === "" && calls.length > 0 ? null : words, refusal: null },
      ...(calls.length > 0 && { tool_calls: calls }),
    };
    return ok({
      ...{ id, object: "chat.completion", created: createdS, model },
      choices: [
        { index: 0, message: spoken, logprobs: null, finish_reason: chatFinish(textOf(message["stop_reason"])) },
      ],
      usage: chatUsage(message["usage"]),
    });
  },
  stream: (head) => new MessagesStream(head),
  error(answer, status) {
    const { type, message } = fieldsOf(fieldsOf(answer)["error"]);
    const said = textOf(message) || `the provider answered ${status}`;
    return { error: { message: said, type: textOf(type) || "api_error", param: null, code: null } };
  },
};

const callOf = (block: Fields): { readonly [key: string]: Json } => ({ id: textOf(block["id"]), type: "function" });

class MessagesStream implements StreamTranslation {
  readonly #head: { readonly [key: string]: Json };
  /** The place among the calls of each block that is one. */
  readonly #calls = new Map<Json, number>();
  #usage: Fields = {};
  #begun = false;
  #finish: string | undefined;
  #ended = false;

  constructor({ id, model, createdS }: AnswerHead) {
    this.#head = { id, object: "chat.completion.chunk", created: createdS, model };
  }

  event(data: Json): string {
    const event = fieldsOf(data);
    switch (event["type"]) {
      case "message_start":
        this.#usage = { ...this.#usage, ...fieldsOf(fieldsOf(event["message"])["usage"]) };
        return this.#begin();
      case "content_block_start":
        return this.#begin() + this.#block(event["index"] ?? 0, fieldsOf(event["content_block"]));
      case "content_block_delta":
        return this.#begin() + this.#delta(event["index"] ?? 0, fieldsOf(event["delta"]));
      case "message_delta":
        this.#usage = { ...this.#usage, ...fieldsOf(event["usage"]) };
        this.#finish = textOf(fieldsOf(event["delta"])["stop_reason"]) || this.#finish;
        return "";
      case "message_stop":
        return this.end();
      case "error":
        return dataLine(messagesAnswer.error(data, 500));
      default:
        return "";
    }
  }

  end(): string {
    if (this.#ended || !this.#begun) return "";
    this.#ended = true;
    const last = dataLine({ ...this.#head, choices: [], usage: chatUsage(this.#usage as Json) });
    return `${this.#chunk({}, chatFinish(this.#finish ?? ""))}${last}data: [DONE]\n\n`;
  }

  #begin(): string {
    if (this.#begun) return "";
    this.#begun = true;
    return this.#chunk({ role: "assistant", content: "" });
  }

  #block(index: Json, block: Fields): string {
    if (block["type"] === "text" && textOf(block["text"]) !== "")
      return this.#chunk({ content: textOf(block["text"]) });
    if (block["type"] !== "tool_use") return "";
    const at = this.#calls.size;
    this.#calls.set(index, at);
    const named = { index: at, ...callOf(block), function: { name: textOf(block["name"]), arguments: "" } };
    return this.#chunk({ tool_calls: [named] });
  }

  #delta(index: Json, delta: Fields): string {
    if (delta["type"] === "text_delta") return this.#chunk({ content: textOf(delta["text"]) });
    const at = this.#calls.get(index);
    if (delta["type"] !== "input_json_delta" || at === undefined) return "";
    return this.#chunk({ tool_calls: [{ index: at, function: { arguments: textOf(delta["partial_json"]) } }] });
  }

  #chunk(delta: Json, finish: string | null = null): string {
    return dataLine({ ...this.#head, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] });
  }
}
