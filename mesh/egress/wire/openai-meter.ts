import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { GeneratedText, Meter } from "./format.ts";
import { countOf, fieldsOf, indexOf, listOf, textOf, type Fields } from "./json-fields.ts";
import { TextTally } from "./text-tally.ts";

/** Each kind of text, and each tool call, goes on by itself: a secret may be split over one of them. */
const CHANNELS_PER_CHOICE = 1_024;
const TEXTS = ["content", "refusal", "reasoning_content", "reasoning"] as const;

/**
 * Here the cached tokens are part of the prompt's. Servers that count reasoning beside the answer show it in the
 * total only, so the dearer reading of the two is taken.
 */
export function usageOf(value: Json | undefined): TokenUsage | undefined {
  const usage = fieldsOf(value);
  const prompt = countOf(usage["prompt_tokens"]);
  const completion = countOf(usage["completion_tokens"]);
  if (prompt === undefined || completion === undefined) return undefined;
  const details = fieldsOf(usage["prompt_tokens_details"]);
  const cacheReadTokens = Math.min(countOf(details["cached_tokens"]) ?? 0, prompt);
  const cacheWriteTokens = Math.min(countOf(details["cache_write_tokens"]) ?? 0, prompt - cacheReadTokens);
  const inputTokens = prompt - cacheReadTokens - cacheWriteTokens;
  const outputTokens = Math.max(completion, (countOf(usage["total_tokens"]) ?? 0) - prompt);
  return { inputTokens, cacheReadTokens, cacheWriteTokens, outputTokens };
}

/** Meter of chat completions, streamed (`chat.completion.chunk`) and plain. */
export class OpenaiMeter implements Meter {
  usage: TokenUsage | null = null;
  complete = false;
  only: GeneratedText | undefined;
  readonly #tally = new TextTally();
  #id = "chatcmpl-cordon";
  #model = "";
  #created = 0;
  /** Of a stream only. */
  #open: Set<number> | undefined;
  /** Choices that the agent has seen open, once it has seen any. */
  #openPassed: ReadonlySet<number> | undefined;
  #changed = false;

  get outputTokensSeen(): number {
    return this.#tally.tokens;
  }
  get outputBytesSeen(): number {
    return this.#tally.bytes;
  }

  read(data: Json): readonly GeneratedText[] {
    const answer = fieldsOf(data);
    if (typeof answer["id"] === "string") this.#id = answer["id"];
    if (typeof answer["model"] === "string") this.#model = answer["model"];
    if (typeof answer["created"] === "number") this.#created = answer["created"];
    const usage = answer["usage"] ? usageOf(answer["usage"]) : undefined;
    if (usage) this.usage = usage;
    let ends = usage !== undefined;
    let plain = false;
    const choices = listOf(answer["choices"]);
    for (const each of choices) {
      const choice = fieldsOf(each);
      plain = choices.length === 1 && fieldsOf(choice["delta"])["tool_calls"] === undefined;
      const index = indexOf(choice["index"], limits.model.choicesMax);
      this.#readPart(index, fieldsOf(choice["delta"] ?? choice["message"]));
      if (textOf(choice["finish_reason"]) !== "") {
        ends = true;
        this.#changed = this.#open?.delete(index) || this.#changed;
      } else if (choice["delta"] && !this.#open?.has(index)) {
        (this.#open ??= new Set()).add(index);
        this.#changed = true;
      }
    }
    this.complete = this.#openNow === 0 && (this.complete || ends);
    const texts = this.#tally.take();
    this.only = plain && texts.length === 1 ? texts[0] : undefined;
    return texts;
  }

  get #openNow(): number {
    return this.#open?.size ?? 0;
  }

  again(bytes: number): void {
    this.#tally.count(bytes);
  }

  #readPart(choice: number, part: Fields): void {
    const first = choice * CHANNELS_PER_CHOICE;
    for (let slot = 0; slot < TEXTS.length; slot++) this.#tally.add(first + slot, textOf(part[TEXTS[slot] ?? ""]));
    const calls = part["tool_calls"];
    if (calls === undefined) return;
    for (const [at, each] of listOf(calls).entries()) {
      const call = fieldsOf(each);
      const called = fieldsOf(call["function"]);
      const slot = countOf(call["index"]) ?? at;
      const text = textOf(called["name"]) + textOf(called["arguments"]);
      this.#tally.add(first + TEXTS.length + Math.min(slot, limits.model.toolsMax), text);
    }
  }

  passed(): void {
    if (this.#openPassed && !this.#changed) return;
    if (this.#openPassed || this.#openNow > 0 || this.complete) this.#openPassed = new Set(this.#open);
    this.#changed = false;
  }

  ending(reason: string): string {
    const head = { id: this.#id, model: this.#model, created: this.#created, object: "chat.completion.chunk" };
    // A reader that has seen nothing yet is told that the first answer ended.
    const chunks = [...(this.#openPassed ?? [0])].map((index) => ({
      ...head,
      choices: [{ index, delta: {}, finish_reason: "length" }],
    }));
    return [
      `: cordon ${reason}\n\n`,
      ...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`),
      "data: [DONE]\n\n",
    ].join("");
  }
}
