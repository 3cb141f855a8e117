import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import type { TokenUsage } from "../../ledger/price.ts";
import type { GeneratedText, Meter } from "./format.ts";
import { countOf, fieldsOf, indexOf, listOf, textOf, type Fields } from "./json-fields.ts";
import { TextTally } from "./text-tally.ts";

/** Of one candidate: answer, thoughts, and calls, each of which comes whole. */
const CHANNELS_PER_CANDIDATE = 3;

/**
 * The report is cumulative and stands in each chunk. Cached tokens are part of the prompt's, thoughts beside the
 * candidates', and what tools of the provider read beside the prompt's.
 */
function usageOf(report: Fields, before: TokenUsage | null): TokenUsage | null {
  const prompt = countOf(report["promptTokenCount"]);
  if (prompt === undefined) return before;
  const read = prompt + (countOf(report["toolUsePromptTokenCount"]) ?? 0);
  const cacheReadTokens = Math.min(countOf(report["cachedContentTokenCount"]) ?? 0, prompt);
  const written = (countOf(report["candidatesTokenCount"]) ?? 0) + (countOf(report["thoughtsTokenCount"]) ?? 0);
  const total = countOf(report["totalTokenCount"]) ?? 0;
  return {
    inputTokens: read - cacheReadTokens,
    cacheReadTokens,
    cacheWriteTokens: 0,
    outputTokens: Math.max(written, total - read, before?.outputTokens ?? 0),
  };
}

/** Meter of `GenerateContentResponse`, which is the plain answer and each chunk of a stream alike. */
export class GeminiMeter implements Meter {
  usage: TokenUsage | null = null;
  complete = false;
  readonly #tally = new TextTally();
  readonly #open = new Set<number>();
  #openPassed: readonly number[] | undefined;

  get outputTokensSeen(): number {
    return this.#tally.tokens;
  }
  get outputBytesSeen(): number {
    return this.#tally.bytes;
  }

  read(data: Json): readonly GeneratedText[] {
    const answer = fieldsOf(data);
    if (answer["usageMetadata"]) this.usage = usageOf(fieldsOf(answer["usageMetadata"]), this.usage);
    let ends = textOf(fieldsOf(answer["promptFeedback"])["blockReason"]) !== "";
    for (const [at, each] of listOf(answer["candidates"]).entries()) {
      const candidate = fieldsOf(each);
      const index = indexOf(candidate["index"] ?? at, limits.model.choicesMax);
      for (const part of listOf(fieldsOf(candidate["content"])["parts"])) this.#readPart(index, fieldsOf(part));
      if (textOf(candidate["finishReason"]) === "") this.#open.add(index);
      else {
        ends = true;
        this.#open.delete(index);
      }
    }
    this.complete = this.#open.size === 0 && (this.complete || ends);
    return this.#tally.take();
  }

  #readPart(candidate: number, part: Fields): void {
    const first = candidate * CHANNELS_PER_CANDIDATE;
    this.#tally.add(part["thought"] === true ? first + 1 : first, textOf(part["text"]));
    if (part["functionCall"] === undefined) return;
    const call = fieldsOf(part["functionCall"]);
    this.#tally.add(first + 2, textOf(call["name"]) + (call["args"] === undefined ? "" : JSON.stringify(call["args"])));
  }

  passed(): void {
    if (this.#openPassed || this.#open.size > 0 || this.complete) this.#openPassed = [...this.#open];
  }

  ending(reason: string): string {
    const candidates = (this.#openPassed ?? [0]).map((index) => ({
      ...{ index, finishReason: "MAX_TOKENS" },
      content: { role: "model", parts: [{ text: "" }] },
    }));
    const comment = `: cordon ${reason}\n\n`;
    return candidates.length === 0 ? comment : `${comment}data: ${JSON.stringify({ candidates })}\n\n`;
  }
}
