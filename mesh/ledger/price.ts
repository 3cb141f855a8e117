import type { ModelPrice } from "@pydantic/genai-prices";
import { assert } from "../../lib/assert.ts";
import type { Amount } from "./ledger.ts";

/** Micro-USD for a million tokens, whole. A step holds for all tokens of a call whose input reaches `fromTokens`. */
export type Rate = readonly { readonly fromTokens: number; readonly rate: number }[];

/** Compiled once into integers. Money is always rounded up to a whole micro-USD. */
export interface Price {
  readonly source: string;
  readonly input: Rate;
  readonly cacheRead: Rate;
  readonly cacheWrite: Rate;
  readonly output: Rate;
  /** The dearest rate that any token of a call can have, by the size of its input, and over all sizes. */
  readonly dearestInput: Rate;
  readonly dearestOutput: Rate;
  readonly worstInput: number;
  readonly worstOutput: number;
  /** What the model can hold at once, input and output together; absent: not known. */
  readonly contextTokens?: number;
  /** It is stated for the time of sound (`timedPrice`), and says nothing about text. */
  readonly byTime?: true;
}

/** The four counts are disjoint: a token that was read from a cache is not in `inputTokens`. */
export interface TokenUsage {
  readonly inputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly outputTokens: number;
}

/**
 * Undefined when a price has a part that is not understood, or no price for input or output. A call that makes no text
 * (`inputOnly`: an embedding) needs no price for output.
 */
export function compilePrice(source: string, lists: readonly ModelPrice[], inputOnly = false): Price | undefined {
  const keys = [...new Set(lists.flatMap((list) => Object.keys(list)))];
  if (!keys.every((key) => /_mtok$/.test(key) || TOOL_PRICES.has(key))) return undefined;
  const dearest = (names: readonly string[]): Rate | undefined => {
    const rates = lists.flatMap((list) => names.map((name) => rateOf(list[name]))).filter((rate) => rate !== undefined);
    return rates.length === 0 ? undefined : envelope(rates);
  };
  const input = dearest(["input_mtok"]);
  const output = dearest(["output_mtok", "output_reasoning_mtok"]) ?? (inputOnly ? FREE : undefined);
  if (!input || !output) return undefined;
  const side = (form: RegExp): Rate => dearest(keys.filter((key) => form.test(key))) ?? FREE;
  // Sound, pictures and cache writes are input, too.
  const dearestInput = side(/^(input|cache)_(.*_)?mtok$/);
  const dearestOutput = side(/^output_(.*_)?mtok$/);
  return {
    source,
    input,
    output,
    cacheRead: dearest(["cache_read_mtok"]) ?? input,
    cacheWrite: dearest(["cache_write_mtok", "cache_write_1h_mtok"]) ?? input,
    ...{ dearestInput, dearestOutput },
    worstInput: Math.max(...dearestInput.map(top)),
    worstOutput: Math.max(...dearestOutput.map(top)),
  };
}

/** One rate for all input and one for all output, and others for the cache where they are stated. */
export function flatPrice(
  source: string,
  inputRate: number,
  outputRate: number,
  cache: { readonly cacheReadRate?: number; readonly cacheWriteRate?: number } = {},
): Price {
  const { cacheReadRate = inputRate, cacheWriteRate = inputRate } = cache;
  const rates = [inputRate, outputRate, cacheReadRate, cacheWriteRate];
  for (const rate of rates) assert(isCount(rate), "a rate is a natural number");
  const [input, output, cacheRead, cacheWrite] = rates.map((rate): Rate => [{ fromTokens: 0, rate }]) as [
    Rate,
    Rate,
    Rate,
    Rate,
  ];
  const worstInput = Math.max(inputRate, cacheReadRate, cacheWriteRate);
  const dearestInput: Rate = [{ fromTokens: 0, rate: worstInput }];
  const dearest = { dearestInput, dearestOutput: output, worstInput, worstOutput: outputRate };
  return { source, input, output, cacheRead, cacheWrite, ...dearest };
}

/**
 * The dearest rates of a call whose input is at most so large: a tier that begins above that cannot be reached, so
 * small calls are not held at the rates of huge ones.
 */
export function dearestRates(
  price: Price,
  inputTokensMax: number,
): { readonly input: number; readonly output: number } {
  return { input: dearest(price.dearestInput, inputTokensMax), output: dearest(price.dearestOutput, inputTokensMax) };
}

function dearest(rate: Rate, inputTokensMax: number): number {
  let most = 0;
  // By index: an iterator makes an object for each step.
  for (let at = 0; at < rate.length; at++) {
    const step = rate[at] as Rate[number];
    if (step.fromTokens <= inputTokensMax && step.rate > most) most = step.rate;
  }
  return most;
}

/** What a call can cost at most: `n` answers of `outputTokensMax` to one input. Too large to count is the largest safe integer. */
export function worstCase(price: Price, inputTokensMax: number, outputTokensMax: number, n: number): Amount {
  const areCounts = isCount(inputTokensMax) && isCount(outputTokensMax) && isCount(n);
  assert(areCounts && n >= 1, "a worst case is counted in natural numbers");
  const rates = dearestRates(price, inputTokensMax);
  const small = smallSum(
    inputTokensMax + outputTokensMax * n,
    inputTokensMax * rates.input + outputTokensMax * n * rates.output,
  );
  if (small) return small;
  const input = BigInt(inputTokensMax);
  const output = BigInt(outputTokensMax) * BigInt(n);
  const worst = input * BigInt(rates.input) + output * BigInt(rates.output);
  return { tokens: capped(input + output), microUsd: wholeMicroUsd(worst) };
}

/** What a call did cost. Tokens count alike, whatever they cost. */
export function costOf(price: Price, usage: TokenUsage): Amount {
  const { inputTokens, cacheReadTokens, cacheWriteTokens, outputTokens } = usage;
  const areCounts = isCount(inputTokens) && isCount(cacheReadTokens) && isCount(cacheWriteTokens);
  assert(areCounts && isCount(outputTokens), "usage is counted in natural numbers");
  const all = inputTokens + cacheReadTokens + cacheWriteTokens;
  const small = smallSum(
    all + outputTokens,
    inputTokens * rateFrom(price.input, all) +
      cacheReadTokens * rateFrom(price.cacheRead, all) +
      cacheWriteTokens * rateFrom(price.cacheWrite, all) +
      outputTokens * rateFrom(price.output, all),
  );
  if (small) return small;
  const read = BigInt(inputTokens) + BigInt(cacheReadTokens) + BigInt(cacheWriteTokens);
  const part = (tokens: number, rate: Rate): bigint => BigInt(tokens) * BigInt(rateAt(rate, read));
  const cost =
    part(inputTokens, price.input) +
    part(cacheReadTokens, price.cacheRead) +
    part(cacheWriteTokens, price.cacheWrite) +
    part(outputTokens, price.output);
  return { tokens: capped(read + BigInt(outputTokens)), microUsd: wholeMicroUsd(cost) };
}

const FREE: Rate = [{ fromTokens: 0, rate: 0 }];

/** Prices of tools that a provider runs itself; the gateway refuses those tools. */
const TOOL_PRICES: ReadonlySet<string> = new Set(["web_searches_kcount", "storage_searches_kcount"]);

/** US dollars for a million tokens → micro-USD for a million tokens, rounded up past the noise of a binary fraction. */
const toRate = (usd: number): number => Math.ceil(Number((usd * 1e6).toFixed(3)));

function rateOf(value: ModelPrice[string]): Rate | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number") return [{ fromTokens: 0, rate: toRate(value) }];
  return [
    { fromTokens: 0, rate: toRate(value.base) },
    ...value.tiers.map(({ start, price }) => ({ fromTokens: start, rate: toRate(price) })),
  ];
}

/** At every size of input the dearest of several rates. */
function envelope(rates: readonly Rate[]): Rate {
  const borders = [...new Set(rates.flat().map(({ fromTokens }) => fromTokens))].sort((a, b) => a - b);
  return borders.map((fromTokens) => ({
    fromTokens,
    rate: Math.max(...rates.map((rate) => rateAt(rate, BigInt(fromTokens)))),
  }));
}

function rateAt(rate: Rate, inputTokens: bigint): number {
  let at = 0;
  let from = -1;
  for (const step of rate) {
    if (BigInt(step.fromTokens) <= inputTokens && step.fromTokens > from) ({ rate: at, fromTokens: from } = step);
  }
  return at;
}

/** The rate that holds for a call of so many tokens of input. */
export function rateFrom(rate: Rate, inputTokens: number): number {
  const first = rate[0];
  if (first && rate.length === 1) return first.fromTokens <= inputTokens ? first.rate : 0;
  return rateAt(rate, BigInt(inputTokens));
}

/** The same sums without big integers, where no part of them can have been rounded; undefined where one can. */
function smallSum(tokens: number, sum: number): Amount | undefined {
  const perMillion = sum + 999_999;
  if (perMillion > Number.MAX_SAFE_INTEGER || tokens > Number.MAX_SAFE_INTEGER) return undefined;
  return { tokens, microUsd: (perMillion - (perMillion % 1_000_000)) / 1_000_000 };
}

const top = (step: Rate[number]): number => step.rate;
const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
const capped = (value: bigint): number => (value > LARGEST ? Number.MAX_SAFE_INTEGER : Number(value));
const wholeMicroUsd = (perMillion: bigint): number => capped((perMillion + 999_999n) / 1_000_000n);
const LARGEST = BigInt(Number.MAX_SAFE_INTEGER);
