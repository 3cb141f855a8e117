import type { Json } from "../../../lib/json.ts";
import { countOf, fieldsOf } from "../wire/json-fields.ts";

/** There the cached tokens are counted beside the input, here they are a part of the prompt. */
export function chatUsage(value: Json | undefined): Json {
  const usage = fieldsOf(value);
  const [input, read, written, output] = COUNTS.map((name) => countOf(usage[name]) ?? 0) as Four;
  const prompt = input + read + written;
  return {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
    prompt_tokens_details: { cached_tokens: read },
  };
}

export function messagesUsage(value: Json | undefined): { readonly [key: string]: Json } {
  const usage = fieldsOf(value);
  const prompt = countOf(usage["prompt_tokens"]) ?? 0;
  const details = fieldsOf(usage["prompt_tokens_details"]);
  const read = Math.min(countOf(details["cached_tokens"]) ?? 0, prompt);
  const written = Math.min(countOf(details["cache_write_tokens"]) ?? 0, prompt - read);
  return {
    input_tokens: prompt - read - written,
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    output_tokens: countOf(usage["completion_tokens"]) ?? 0,
  };
}

const COUNTS = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"] as const;
type Four = [number, number, number, number];
