import type { Json } from "../../../lib/json.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { GeneratedText, Meter } from "./format.ts";
import { countOf, fieldsOf, indexOf, listOf, textOf, type Fields } from "./json-fields.ts";
import { TextTally } from "./text-tally.ts";

const ITEMS_MAX = 1_000;
const PARTS_MAX = 100;
/** Of one item: its name, its arguments, its parts of text, and the parts of its reasoning. */
const CHANNELS_PER_ITEM = 512;
const CHANNEL_OF_PART = 8;
const TERMINAL = new Set(["response.completed", "response.incomplete", "response.failed"]);

/** Cached tokens are part of the input's, reasoning is part of the output's. */
function usageOf(value: Json | undefined): TokenUsage | undefined {
  const usage = fieldsOf(value);
  const read = countOf(usage["input_tokens"]);
  const written = countOf(usage["output_tokens"]);
  if (read === undefined || written === undefined) return undefined;
  const details = fieldsOf(usage["input_tokens_details"]);
  const cacheReadTokens = Math.min(countOf(details["cached_tokens"]) ?? 0, read);
  const cacheWriteTokens = Math.min(countOf(details["cache_write_tokens"]) ?? 0, read - cacheReadTokens);
  const outputTokens = Math.max(written, (countOf(usage["total_tokens"]) ?? 0) - read);
  return { inputTokens: read - cacheReadTokens - cacheWriteTokens, cacheReadTokens, cacheWriteTokens, outputTokens };
}

/** Meter of responses. In a stream every event whose name ends with `.delta` adds text; what ends it carries the usage. */
export class ResponsesMeter implements Meter {
  usage: TokenUsage | null = null;
  complete = false;
  readonly #tally = new TextTally();
  #head: Fields = {};
  #sequence = -1;
  /** The same as the agent has seen it. */
  #sequencePassed = -1;
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
    if (type === "") this.#readPlain(event);
    else {
      this.#sequence = countOf(event["sequence_number"]) ?? this.#sequence + 1;
      if (type.endsWith(".delta")) this.#tally.add(channelOf(type, event), textOf(event["delta"]));
      else if (type === "response.output_item.added")
        this.#tally.add(channelOf("", event), textOf(fieldsOf(event["item"])["name"]));
      else if (type === "response.created") this.#head = headOf(fieldsOf(event["response"]));
      else if (TERMINAL.has(type)) this.#end(fieldsOf(event["response"]));
    }
    return this.#tally.take();
  }

  #end(response: Fields): void {
    this.complete = true;
    this.usage = usageOf(response["usage"]) ?? this.usage;
  }

  #readPlain(response: Fields): void {
    for (const [at, each] of listOf(response["output"]).entries()) {
      const item = fieldsOf(each);
      const first = Math.min(at, ITEMS_MAX) * CHANNELS_PER_ITEM;
      this.#tally.add(first, textOf(item["name"]) + textOf(item["arguments"]));
      for (const parts of [item["content"], item["summary"]])
        for (const part of listOf(parts))
          this.#tally.add(first + CHANNEL_OF_PART, textOf(fieldsOf(part)["text"]) + textOf(fieldsOf(part)["refusal"]));
    }
    if (["completed", "incomplete", "failed"].includes(textOf(response["status"]))) this.#end(response);
  }

  passed(): void {
    this.#sequencePassed = this.#sequence;
    this.#completePassed = this.complete;
  }

  ending(reason: string): string {
    const comment = `: cordon ${reason}\n\n`;
    if (this.#completePassed) return comment;
    let sequence = this.#sequencePassed;
    const event = (type: string, response: object): string =>
      `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: ++sequence, response })}\n\n`;
    const head = { id: "resp_cordon", object: "response", created_at: 0, model: "", output: [], ...this.#head };
    const start = sequence < 0 ? event("response.created", { ...head, status: "in_progress" }) : "";
    const details = { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    return `${comment}${start}${event("response.incomplete", { ...head, ...details, usage: null })}`;
  }
}

function channelOf(type: string, event: Fields): number {
  const first = indexOf(event["output_index"], ITEMS_MAX) * CHANNELS_PER_ITEM;
  if (type === "") return first;
  if (type.includes("arguments") || type.includes("input")) return first + 1;
  const part = indexOf(event["content_index"] ?? event["summary_index"], PARTS_MAX);
  const kind = type.includes("reasoning") ? 2 : type.includes("refusal") ? 1 : 0;
  return first + CHANNEL_OF_PART + part * 3 + kind;
}

/** What a reader needs to know an answer by; its first event holds the whole request besides. */
const headOf = ({ id, created_at, model }: Fields): Fields => ({
  ...(id === undefined ? {} : { id }),
  ...(created_at === undefined ? {} : { created_at }),
  ...(model === undefined ? {} : { model }),
});
