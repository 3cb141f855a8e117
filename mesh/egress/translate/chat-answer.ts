import { parseJson, type Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { countOf, fieldsOf, listOf, textOf, type Fields } from "../wire/json-fields.ts";
import type { AnswerHead, AnswerTranslation, StreamTranslation } from "./answer.ts";
import { messagesErrorType, messagesStop } from "./finish.ts";
import { messagesUsage } from "./usage.ts";

type Block = { readonly [key: string]: Json };

/** Answers of OpenAI's chat completions, told as Anthropic's messages. */
export const chatAnswer: AnswerTranslation = {
  plain(answer, { id, model }) {
    const [first] = listOf(fieldsOf(answer)["choices"]);
    const choice = fieldsOf(first);
    const message = fieldsOf(choice["message"]);
    const words = textOf(message["content"]) + textOf(message["refusal"]);
    const content: Block[] = words === "" ? [] : [{ type: "text", text: words }];
    for (const each of listOf(message["tool_calls"])) {
      const call = toolUse(fieldsOf(each));
      if (!call.ok) return call;
      content.push(call.value);
    }
    const refused = textOf(message["refusal"]) !== "";
    return ok({
      ...{ id, type: "message", role: "assistant", model, content },
      stop_reason: refused ? "refusal" : messagesStop(textOf(choice["finish_reason"])),
      stop_sequence: null,
      usage: messagesUsage(fieldsOf(answer)["usage"]),
    });
  },
  stream: (head) => new ChatStream(head),
  error(answer, status) {
    const message = textOf(fieldsOf(fieldsOf(answer)["error"])["message"]) || `the provider answered ${status}`;
    return { type: "error", error: { type: messagesErrorType(status), message } };
  },
};

/** There the input is an object, here a text that the model wrote, and may have written wrongly. */
function toolUse(call: Fields): Result<Block, string> {
  const { name, arguments: written } = fieldsOf(call["function"]);
  const input = parseJson(Buffer.from(textOf(written) || "{}"), limits.door.jsonDepthMax);
  if (!input.ok || typeof input.value !== "object" || input.value === null || Array.isArray(input.value))
    return err("the call of a tool has arguments that are no JSON object");
  return ok({ type: "tool_use", id: textOf(call["id"]), name: textOf(name), input: input.value });
}

class ChatStream implements StreamTranslation {
  readonly #head: AnswerHead;
  /** The block of each call, by its place; they stay open to the end, since their texts may come in turns. */
  readonly #calls = new Map<number, number>();
  #blocks = 0;
  /** The block of words that is open. */
  #words: number | undefined;
  #begun = false;
  #refused = false;
  #finish = "";
  #usage: Json | undefined;
  #ended = false;

  constructor(head: AnswerHead) {
    this.#head = head;
  }

  event(data: Json): string {
    const chunk = fieldsOf(data);
    if (chunk["error"] !== undefined) return line("error", chatAnswer.error(data, 500) as Block);
    if (chunk["usage"]) this.#usage = chunk["usage"];
    let events = this.#begin();
    for (const each of listOf(chunk["choices"])) {
      const choice = fieldsOf(each);
      if ((countOf(choice["index"]) ?? 0) !== 0) continue;
      const delta = fieldsOf(choice["delta"]);
      this.#refused ||= textOf(delta["refusal"]) !== "";
      events += this.#say(textOf(delta["content"]) + textOf(delta["refusal"]));
      for (const call of listOf(delta["tool_calls"])) events += this.#call(fieldsOf(call));
      this.#finish = textOf(choice["finish_reason"]) || this.#finish;
    }
    return events;
  }

  end(): string {
    if (this.#ended || !this.#begun) return "";
    this.#ended = true;
    const open = [...(this.#words === undefined ? [] : [this.#words]), ...this.#calls.values()];
    const usage = messagesUsage(this.#usage);
    const delta = { stop_reason: this.#refused ? "refusal" : messagesStop(this.#finish), stop_sequence: null };
    return [
      ...open.map((index) => line("content_block_stop", { index })),
      line("message_delta", { delta, usage }),
      line("message_stop", {}),
    ].join("");
  }

  #begin(): string {
    if (this.#begun) return "";
    this.#begun = true;
    const { id, model } = this.#head;
    // What the prompt has cost is told there at the end only.
    const message = {
      ...{ id, type: "message", role: "assistant", model, content: [], stop_reason: null, stop_sequence: null },
      usage: messagesUsage(undefined),
    };
    return line("message_start", { message });
  }

  #say(words: string): string {
    if (words === "") return "";
    const opens = this.#words === undefined;
    const index = this.#words ?? this.#blocks++;
    this.#words = index;
    const start = opens ? line("content_block_start", { index, content_block: { type: "text", text: "" } }) : "";
    return start + line("content_block_delta", { index, delta: { type: "text_delta", text: words } });
  }

  #call(call: Fields): string {
    const place = countOf(call["index"]) ?? 0;
    const { name, arguments: written } = fieldsOf(call["function"]);
    let index = this.#calls.get(place);
    let events = "";
    if (index === undefined) {
      if (this.#words !== undefined) events += line("content_block_stop", { index: this.#words });
      this.#words = undefined;
      index = this.#blocks++;
      this.#calls.set(place, index);
      const block = { type: "tool_use", id: textOf(call["id"]), name: textOf(name), input: {} };
      events += line("content_block_start", { index, content_block: block });
    }
    const text = textOf(written);
    if (text === "") return events;
    return events + line("content_block_delta", { index, delta: { type: "input_json_delta", partial_json: text } });
  }
}

const line = (type: string, fields: Block): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
