import type { Json } from "../../../lib/json.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { GeneratedText, Meter } from "./format.ts";
import { countOf, fieldsOf, indexOf, listOf, textOf, type Fields } from "./json-fields.ts";
import { TextTally } from "./text-tally.ts";

const BLOCKS_MAX = 10_000;

const blockText = (block: Fields): string =>
  textOf(block["text"]) +
  textOf(block["thinking"]) +
  (block["input"] === undefined ? "" : JSON.stringify(block["input"]));

/** Meter of messages, streamed and plain. */
export class AnthropicMeter implements Meter {
  usage: TokenUsage | null = null;
  complete = false;
  only: GeneratedText | undefined;
  readonly #tally = new TextTally();
  #started = false;
  #openBlock: number | undefined;
  /** The same as the agent has seen it. */
  #startedPassed = false;
  #openBlockPassed: number | undefined;
  #completePassed = false;

  get outputTokensSeen(): number {
    return this.#tally.tokens;
  }
  get outputBytesSeen(): number {
    return this.#tally.bytes;
  }

  read(data: Json): readonly GeneratedText[] {
    const event = fieldsOf(data);
    const type = textOf(event["type"]);
    const index = indexOf(event["index"], BLOCKS_MAX);
    const usage = event["usage"] ?? fieldsOf(event["message"])["usage"];
    // An empty report is none: absent is not zero.
    if (typeof usage === "object" && usage !== null) this.#count(fieldsOf(usage));
    this.#readText(index, event);
    if (type === "message_start") this.#started = true;
    else if (type === "content_block_start") this.#openBlock = index;
    else if (type === "content_block_stop") this.#openBlock = undefined;
    else if (type === "message_stop" || type === "message") this.complete = true;
    const texts = this.#tally.take();
    const [first] = texts;
    // The three kinds of text are put together: one string is all of it where it is one of them.
    const delta = fieldsOf(event["delta"]);
    const plain = type === "content_block_delta" && texts.length === 1 && event["content_block"] === undefined;
    this.only = plain && (delta["text"] === first?.text || delta["thinking"] === first?.text) ? first : undefined;
    return texts;
  }

  again(bytes: number): void {
    this.#tally.count(bytes);
  }

  #readText(index: number, event: Fields): void {
    const delta = fieldsOf(event["delta"]);
    this.#tally.add(index, textOf(delta["text"]) + textOf(delta["partial_json"]) + textOf(delta["thinking"]));
    // A block may begin with text; a tool's empty input is none. The blocks of a plain answer come all at once.
    if (event["content_block"] !== undefined) {
      const block = fieldsOf(event["content_block"]);
      this.#tally.add(index, textOf(block["text"]) + textOf(block["thinking"]));
    }
    for (const [at, block] of listOf(event["content"]).entries()) this.#tally.add(at, blockText(fieldsOf(block)));
  }

  passed(): void {
    this.#startedPassed = this.#started;
    this.#openBlockPassed = this.#openBlock;
    this.#completePassed = this.complete;
  }

  /** Counts are cumulative over a stream; a field that is absent keeps its last value. */
  #count(usage: Fields): void {
    if (countOf(usage["input_tokens"]) === undefined && countOf(usage["output_tokens"]) === undefined) return;
    const seen = this.usage;
    const most = (field: keyof TokenUsage, name: string): number =>
      Math.max(countOf(usage[name]) ?? 0, seen?.[field] ?? 0);
    this.usage = {
      inputTokens: most("inputTokens", "input_tokens"),
      cacheReadTokens: most("cacheReadTokens", "cache_read_input_tokens"),
      cacheWriteTokens: most("cacheWriteTokens", "cache_creation_input_tokens"),
      outputTokens: most("outputTokens", "output_tokens"),
    };
  }

  ending(reason: string): string {
    const event = (type: string, fields: object): string =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
    const comment = `: cordon ${reason}\n\n`;
    if (this.#completePassed) return comment;
    const start = this.#startedPassed ? "" : event("message_start", { message: EMPTY_MESSAGE });
    const open = this.#openBlockPassed;
    const block = open === undefined ? "" : event("content_block_stop", { index: open });
    const usage = { output_tokens: this.usage?.outputTokens ?? this.outputTokensSeen };
    const last = event("message_delta", { delta: { stop_reason: "max_tokens", stop_sequence: null }, usage });
    return `${comment}${start}${block}${last}${event("message_stop", {})}`;
  }
}

/** For a reader that has seen nothing yet, since every stream begins with one. */
const EMPTY_MESSAGE = {
  ...{ id: "msg_cordon", type: "message", role: "assistant", model: "", content: [] },
  ...{ stop_reason: null, stop_sequence: null, usage: { input_tokens: 0, output_tokens: 0 } },
};
